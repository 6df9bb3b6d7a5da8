// KernelRun: everything the kernel was seen to do for all recorded processes, as one list of steps in the order of the machine.
//
// Steps of one thread come in its own order. Between threads the order is that of the clock: of a call that takes memory away its
// beginning counts, of a call that gives memory its end, because only then another thread can know of it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "trace/recording.h"

namespace faultline::replay {

struct KernelStep {
  enum class Kind : std::uint8_t { fork, exec, call, fault, check_start, check, exit };
  std::uint64_t time_ns = 0;
  trace::Pid pid = 0;
  Kind kind = Kind::call;
  std::uint32_t index = 0;  // into the lists of KernelRun
};

struct KernelRun {
  struct OfProcess {
    std::vector<trace::MemoryCall> calls;       // of all threads and images, by time
    std::vector<trace::FaultEvent> faults;
    std::vector<trace::MappingEvent> mappings;
  };
  std::vector<trace::TaskEvent> tasks;
  std::map<trace::Pid, OfProcess> processes;
  std::vector<KernelStep> steps;
};

// check steps: at the moments a process told its mappings, before its first allocation and at its end.
KernelRun read_kernel_run(trace::Recording& recording);

// A call that takes memory away or only changes it: its effect is not before its beginning.
bool takes_effect_at_begin(const trace::MemoryCall& call);

}  // namespace faultline::replay
