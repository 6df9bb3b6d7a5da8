// Runs heap_driver on a trace and holds what it wrote.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "heap_trace.h"

namespace faultline::diff {

class DriverRun {
 public:
  // tunables is the child's GLIBC_TUNABLES, preload its LD_PRELOAD. Fails with one line if the driver could not do its work at all.
  static Result<DriverRun> start(const std::string& driver, const std::string& tunables, const std::vector<Op>& ops,
                                 bool check_residency, const std::string& preload = "");
  DriverRun(DriverRun&& other) noexcept;
  DriverRun& operator=(DriverRun&&) = delete;
  ~DriverRun();

  const Shared& header() const { return *shared_; }
  std::span<const Answer> answers() const;
  std::span<const Call> calls() const;

 private:
  DriverRun(Shared* shared, std::size_t bytes) : shared_(shared), bytes_(bytes) {}
  Shared* shared_;
  std::size_t bytes_;
};

}  // namespace faultline::diff
