// Resident set of the recorded processes, polled from /proc/PID/statm.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "record/perf_ring.h"
#include "trace/memory_codec.h"

namespace faultline::record {

class RssSampler {
 public:
  void watch(pid_t pid);
  // Every 10 ms in the first 10 s, then less often: the shape of a long run needs fewer points per second.
  void poll(std::uint64_t now_ns);
  std::map<pid_t, trace::SampleEncoder>& samples() { return samples_; }
  std::uint64_t peak_bytes(pid_t pid) const;

 private:
  std::map<pid_t, Fd> files_;
  std::map<pid_t, trace::SampleEncoder> samples_;
  std::map<pid_t, std::uint64_t> peaks_;
  std::uint64_t next_ns_ = 0;
};

// Minor and major faults of a process that is still there, if only as a zombie: /proc/PID/stat.
struct FaultCounters {
  std::uint64_t minor = 0, major = 0;
};
FaultCounters read_fault_counters(pid_t pid);

}  // namespace faultline::record
