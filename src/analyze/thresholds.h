// glibc's mmap and trim thresholds as the recorded calls move them: they follow the largest mmapped block freed, until
// any threshold-type parameter is set, which freezes both (mallopt(3), "dynamic mmap threshold").
#pragma once

#include <cstdint>

#include "heap/parameters.h"
#include "trace/event.h"

namespace faultline::analyze {

struct ThresholdState {
  bool frozen = false;  // a threshold-type parameter was set (tunable, MALLOC_*_ variable or mallopt)
  bool mmap_threshold_set = false, trim_threshold_set = false, top_pad_set = false, mmap_max_set = false;
  std::uint64_t mmap_threshold = 128 * 1024, trim_threshold = 128 * 1024, top_pad = 128 * 1024;
  std::uint64_t adaptations = 0;
};

class Thresholds {
 public:
  explicit Thresholds(const trace::ProcessInfo& process);
  void mallopt(std::int64_t parameter, std::int64_t value);
  void freed_mmapped(std::uint64_t requested_bytes);
  const ThresholdState& state() const { return state_; }

 private:
  ThresholdState state_;
};

}  // namespace faultline::analyze
