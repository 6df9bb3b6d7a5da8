// From a recording to a Program: one pass over the heap events, the other streams beside it.
#pragma once

#include <functional>

#include "base/result.h"
#include "replay/program.h"
#include "trace/recording.h"

namespace faultline::replay {

// A process that was forked without exec begins with what its ancestors did up to the forks. Fails with one line when the heap
// model does not apply to the process: another allocator than glibc's, or an ancestor that was not recorded.
Result<Program> load_program(trace::Recording& recording, const trace::ProcessInfo& process,
                             const std::function<void(std::uint64_t done)>& progress = {});

}  // namespace faultline::replay
