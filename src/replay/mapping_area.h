// Where the kernel puts the first mapping malloc asks for, in a run without the recorder: right below the libraries.
// With hugetlb=1 the place within 2 MiB decides which huge pages a mapped chunk gets.
#pragma once

#include <cstdint>
#include <span>

#include "trace/event.h"

namespace faultline::replay {

// The end of that mapping, or 0 if the recording does not tell. first_chunk_ns: when malloc first mapped one; the mappings the
// program made itself until then lie above it.
std::uint64_t mapping_area_top(const trace::ProcessInfo& process, std::span<const trace::MemoryCall> calls, std::uint64_t first_chunk_ns);

}  // namespace faultline::replay
