// This kernel, one process, whole batches of programs at once (wire.h).
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

#include "wire.h"

namespace faultline::spec::solo {

// A mapping the child has before the first call, from /proc/PID/smaps.
struct Present {
  std::uint64_t start = 0, end = 0;
  std::string name;   // as maps shows it: path, [stack], empty
  std::string flags;  // VmFlags: "rd wr mr mw me ac"
  std::uint64_t offset = 0, inode = 0;
  std::uint32_t device_major = 0, device_minor = 0;
};

class Kernel {
 public:
  Kernel();  // throws std::runtime_error where a kernel cannot do it
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // start() returns at once, finish() waits for the words; empty: too many for the area, send fewer calls.
  void start(std::span<const Call> calls, const Watch& watch);
  std::span<const std::uint64_t> finish();

  const std::vector<Present>& present() const { return present_; }
  std::uint64_t start_brk() const { return area_->start_brk; }
  std::uint64_t hard_limit(int resource) const { return area_->hard_limit[resource]; }
  pid_t pid() const { return pid_; }

 private:
  void wait();

  Area* area_ = nullptr;
  pid_t pid_ = -1;
  std::vector<Present> present_;
};

}  // namespace faultline::spec::solo
