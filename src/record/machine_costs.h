// What a page fault and the memory calls cost on this machine, measured right here.
#pragma once

#include "trace/event.h"

namespace faultline::record {

// Runs in a forked child (about 100 ms) so that neither side's memory matters. All zero if the child failed.
trace::MachineCosts measure_machine_costs();

}  // namespace faultline::record
