// The parameters as malloc holds them while the program runs: tunables at the start, mallopt and the dynamic threshold
// afterwards. glibc malloc/malloc.c, struct malloc_par and the do_set_* helpers.
#pragma once

#include <cstdint>

#include "heap/parameters.h"

namespace faultline::heap {

// mallopt(3) parameter numbers.
enum Mallopt : int {
  kMxfast = 1,
  kTrimThreshold = -1,
  kTopPad = -2,
  kMmapThreshold = -3,
  kMmapMax = -4,
  kPerturb = -6,
  kArenaTest = -7,
  kArenaMax = -8,
};

class OutcomeBox;

struct Settings {
  explicit Settings(const Parameters& parameters);

  std::uint64_t trim_threshold = 128 * 1024;
  std::uint64_t top_pad = 128 * 1024;  // the manual says 0
  std::uint64_t mmap_threshold = 128 * 1024;
  std::int32_t mmap_max = 65536;
  bool dynamic_threshold = true;  // until the user sets any of the four above
  std::uint64_t max_fast = 128;   // largest chunk that goes to a fastbin
  std::uint64_t tcache_bins = 64;
  std::uint64_t tcache_count = 7;
  std::uint64_t tcache_unsorted_limit = 0;  // 0: no limit
  std::int32_t perturb = 0;
  std::uint64_t huge_page = 0;  // hugetlb=1 where THP is in madvise mode: breaks are rounded to it
  bool break_known = true;      // see Parameters
  std::uint64_t explicit_huge_page = 0;  // hugetlb=2 and more: MAP_HUGETLB is tried first, the break is never moved
  std::uint64_t arena_max = 0;           // 0: by arena_test and the number of CPUs
  std::uint64_t arena_test = 8;
  bool caps_mmap_threshold = false;      // Version
  bool strict_overcommit = false;        // Parameters

  OutcomeBox* box = nullptr;             // who notes what other settings would have changed; models only

  // Returns mallopt's own value: 1 done, 0 refused. An unknown parameter answers 1, as in glibc.
  int mallopt(int parameter, int value);

  // free() of a mapped chunk: thresholds only ever rise, up to 32 MiB. header is the size word with its flag bits.
  void adapt(std::uint64_t header);
};

}  // namespace faultline::heap
