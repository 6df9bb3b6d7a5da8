// The ends of threads. They are not recorded, but seen: having emptied its cache, a thread gives its own stack back with
// madvise(MADV_DONTNEED) (start_thread in nptl/pthread_create.c), and that is the last call it makes.
#pragma once

#include <span>
#include <vector>

#include "replay/program.h"
#include "trace/event.h"

namespace faultline::replay {

// calls: all of the process's, exact, by begin_ns. The first thread's end is the process's and not among them.
std::vector<ThreadExit> find_thread_exits(const Program& program, std::span<const trace::MemoryCall> calls, trace::Pid pid);

}  // namespace faultline::replay
