// What a program asks of malloc, in the few numbers from which settings worth trying follow.
#pragma once

#include <cstdint>
#include <vector>

#include "replay/program.h"

namespace faultline::analyze {

struct SizeProfile {
  std::uint64_t peak_live_bytes = 0;    // greatest sum of live blocks
  std::uint64_t peak_large_bytes = 0;   // greatest sum of live blocks of 128 KiB and more
  std::uint64_t largest_block = 0;
  std::uint64_t small_allocations = 0;  // up to tcache's largest request
  std::vector<std::uint64_t> large_sizes;  // distinct sizes >= 128 KiB, rounded up to powers of two, ascending
  std::uint64_t frees = 0;
  std::size_t threads = 1;
  std::uint64_t duration_ms = 0;        // first to last heap call
  bool thp_by_madvise = false;          // where hugetlb=1 does something
  std::uint32_t most_live_of_one_size = 0;  // greatest number of live small blocks of one chunk size
};

SizeProfile size_profile(const replay::Program& program);

}  // namespace faultline::analyze
