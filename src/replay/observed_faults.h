// What the kernel was seen to do to a process: its faults by where they fell, its resident set.
#pragma once

#include <span>

#include "replay/fault_split.h"
#include "replay/program.h"
#include "trace/recording.h"

namespace faultline::replay {

// faults: the process's own, by time; areas: one per fault.
Observed observed_faults(trace::Recording& recording, const trace::ProcessInfo& process, std::span<const trace::FaultEvent> faults,
                         std::span<const FaultArea> areas, std::uint64_t time_unit_ns);

}  // namespace faultline::replay
