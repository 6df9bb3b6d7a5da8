// Every memory system call of a process and what it starts, also those inside libc: arguments, result, thread, times.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "record/perf_ring.h"
#include "record/tracepoint.h"
#include "trace/event.h"

namespace faultline::record {

struct RawCall {
  trace::MemoryCall call;  // times are CLOCK_MONOTONIC_RAW
  trace::Pid pid;
};

class PerfCalls {
 public:
  // Like PerfFaults::attach. exact() false: missing() says why.
  static PerfCalls attach(pid_t pid);

  bool exact() const { return exact_; }
  const std::string& missing() const { return missing_; }
  std::uint64_t lost() const { return lost_; }

  void drain(std::vector<RawCall>& out);

 private:
  struct Sample {
    std::uint64_t time;
    trace::Pid pid;
    trace::Tid tid;
    trace::CallKind kind;
    bool enter;
    std::uint64_t values[6];  // arguments, or the result
  };
  struct Source {
    const CallTracepoints* tracepoints;
    bool enter;
  };
  bool attach_all(pid_t pid, int& error);
  void take(const std::uint8_t* body, std::size_t size);

  std::vector<CallTracepoints> tracepoints_;
  std::unordered_map<std::uint64_t, Source> sources_;  // by sample id
  std::vector<PerfRing> rings_;
  std::vector<Sample> batch_;  // of this drain, and exits of the last one whose entry had not been seen
  std::unordered_map<trace::Tid, Sample> entered_;
  bool exact_ = false;
  std::string missing_;
  std::uint64_t lost_ = 0;
};

}  // namespace faultline::record
