// When processes fork, execute and end: the side-band records of a dummy perf event, allowed to everybody.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "record/perf_ring.h"
#include "trace/event.h"

namespace faultline::record {

struct TaskEvent {
  enum class Kind { fork, exec, exit } kind;  // of processes; threads are left out, but for the exit of each
  trace::Pid pid, parent;
  std::uint64_t time_ns;  // CLOCK_MONOTONIC_RAW
  std::string name;       // exec: the new comm
};

class PerfTasks {
 public:
  // Never fails: without perf there are no events, and processes are known from their shims alone.
  static PerfTasks attach(pid_t pid);
  void drain(std::vector<TaskEvent>& out);

 private:
  std::vector<PerfRing> rings_;
};

}  // namespace faultline::record
