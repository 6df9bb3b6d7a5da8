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
  // Reads at every call, and keeps a sample every 10 ms in the first 10 s, then less often: the shape of a long run needs
  // fewer points per second. A peak between two kept samples is kept too: the kernel's own VmHWM is only approximate.
  void poll(std::uint64_t now_ns);
  std::map<pid_t, trace::SampleEncoder>& samples() { return samples_; }

 private:
  struct Watched {
    Fd statm;
    trace::RssSample highest{};  // since the last kept sample
  };

  std::map<pid_t, Watched> watched_;
  std::map<pid_t, trace::SampleEncoder> samples_;
  std::uint64_t next_ns_ = 0;
};

// Minor and major faults of a process that is still there, if only as a zombie: /proc/PID/stat.
struct FaultCounters {
  std::uint64_t minor = 0, major = 0;
};
FaultCounters read_fault_counters(pid_t pid);

}  // namespace faultline::record
