// The memory a control group may use, of the process that asks (and its children).
#pragma once

#include <cstdint>

namespace faultline::record {

// The lowest limit from the process's own group up to the root: memory.max of cgroup v2, memory.limit_in_bytes of v1. 0: none, or not to be read.
std::uint64_t memory_limit_bytes();

}  // namespace faultline::record
