// What differs between glibc's versions in what malloc does, one named flag each (docs/FIDELITY.md has a row per flag).
// A flag is set where the behaviour is there, whatever distribution shipped it.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace faultline::heap {

struct Version {
  std::string_view name = "2.36";
  bool swapped_brk_fallback = true;     // 2.35-2.37: where the break is refused, minimum and page size change places
  bool heap_info_keeps_page = true;     // 2.35: a thread arena's first block lies 16 bytes further on
  bool caps_mmap_threshold = false;     // until 2.34: mmap_threshold above 32 MiB is refused
  bool grows_heap_twice = false;        // until 2.34: a thread arena tries its heaps again where not even a mapping was had
  bool has_hugetlb = true;              // 2.35: the tunable glibc.malloc.hugetlb
  bool realloc_keeps_fitting = false;   // 2.38: realloc returns what fits (slack of 15 bytes, of a page if mmapped) untouched
  bool memalign_takes_cached = false;   // 2.38: an aligned block of the thread's cache will do
  bool strict_aligned_alloc = false;    // 2.38: aligned_alloc fails for an alignment that is no power of two
  bool memalign_merges_parts = false;   // 2.39: front and tail go to their neighbours at once, never to cache or fastbins
  bool hugetlb_sets_threshold = false;  // 2.39: hugetlb=2 makes the huge page size the mmap threshold
  bool calloc_takes_cached = false;     // 2.41
  bool files_small_chunks = false;      // 2.41: a freed small chunk goes to its bin, not to the unsorted list
  bool pvalloc_adds_a_byte = true;      // until 2.41: the mask keeps bit 0
  bool counts_all_cpus = true;          // arena limit by online CPUs; 2.34 to 2.38 as released: by the affinity mask
  bool real_run = true;                 // compared with a real libc of this version by the tests

  bool operator==(const Version&) const = default;

  // "2.31", "2.35", "2.36", "2.36-deb12u7" (before Debian counted all CPUs), "2.39", "2.41"; nullopt for others.
  static std::optional<Version> named(std::string_view name);
  static std::vector<std::string_view> names();
  // The version whose flags describe libc's own version string ("2.37", gnu_get_libc_version) best, and whether that is
  // more than a guess: behaviour changes between the two otherwise.
  struct Nearest;
  static Nearest nearest(std::string_view libc_version);
};

struct Version::Nearest {
  Version version;
  bool exact = true;
};

}  // namespace faultline::heap
