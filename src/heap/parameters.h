// glibc's malloc parameters as they stand when a process starts: version behaviour, tunables and environment.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "heap/version.h"

namespace faultline::heap {

// Everything glibc.malloc.* that this model knows. An unset optional means "not set by the user", which matters:
// setting any of the four threshold-type parameters freezes the dynamic mmap threshold.
struct Tunables {
  std::optional<std::uint64_t> mmap_threshold;
  std::optional<std::uint64_t> trim_threshold;
  std::optional<std::uint64_t> top_pad;
  std::optional<std::int32_t> mmap_max;
  std::optional<std::uint64_t> tcache_count;
  std::optional<std::uint64_t> tcache_max;
  std::optional<std::uint64_t> tcache_unsorted_limit;
  std::optional<std::uint64_t> mxfast;
  std::optional<std::uint64_t> arena_max;
  std::optional<std::uint64_t> arena_test;
  std::optional<std::uint64_t> perturb;
  std::optional<std::uint64_t> hugetlb;

  // "glibc.malloc.mmap_threshold=1:glibc.malloc.top_pad=2", read as glibc 2.36 reads it (no suffixes: "1G" is 1;
  // values out of range are ignored, unknown names are skipped). warnings says what glibc silently did.
  static Tunables from_environment(std::string_view glibc_tunables, const std::vector<std::string>& malloc_variables,
                                   std::vector<std::string>* warnings = nullptr);

  // What a user typed after --set: K=V with K one of the names above (with or without the glibc.malloc. prefix).
  // V is a number, or "default": as if it had not been set. Sizes may carry K/M/G here; an unknown name or an unusable value is an error that lists what is known.
  Result<void> set(std::string_view assignment);

  std::string to_glibc_tunables() const;  // "glibc.malloc.mmap_threshold=...:..." of what is set; empty if nothing is
  bool operator==(const Tunables&) const = default;
};

struct Parameters {
  Version version;
  Tunables tunables;
  int cpus_online = 1;
  int cpus_allowed = 0;  // of the affinity mask, for versions that count those; 0: not known, taken as cpus_online
  // Huge page size (2 MiB on x86-64) when /sys/kernel/mm/transparent_hugepage/enabled says madvise, else 0. Only
  // hugetlb=1 looks at it.
  std::uint64_t thp_madvise_bytes = 0;
  // Sizes the kernel has explicit huge pages in, the default one first (/sys/kernel/mm/hugepages): hugetlb=2 and more.
  std::array<std::uint64_t, 4> huge_page_sizes = {std::uint64_t{2} << 20, std::uint64_t{1} << 30};
  // Before libc has asked for the break once, it takes it for 0 when it rounds the first growth to huge pages: 2 MiB more,
  // wherever the heap begins. Programs that are linked dynamically and call no brk themselves are such.
  bool break_known = true;
  bool strict_overcommit = false;  // /proc/sys/vm/overcommit_memory is 2: thread heaps shrink by remapping
};

// What of these parameters the model does not follow, in one line for the user; empty when it follows all of them.
std::optional<std::string> not_modelled(const Parameters& parameters);

}  // namespace faultline::heap
