// hugetlb=1 with a top smaller than a huge page: the break moves by 2 MiB at a time, so the top is always beyond a small trim
// threshold, and every larger free gives it back: brk, madvise and a fault of 2 MiB for each. malloc/malloc.c, sysmalloc and systrim
// (thp_pagesize). And hugetlb=1 where transparent huge pages are not by madvise: it does nothing (sysdeps, __malloc_thp_mode).
#include <fmt/format.h>

#include "analyze/format.h"
#include "analyze/lints.h"
#include "heap/settings.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kHugePage = std::uint64_t{2} << 20;

std::vector<Lint> look(const LintInput& input) {
  if (input.tunables.hugetlb.value_or(0) != 1) return {};
  Lint lint;
  if (!input.thp_by_madvise) {
    lint.title = "glibc.malloc.hugetlb=1 does nothing here: transparent_hugepage/enabled was not madvise when this was recorded";
    lint.next = "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled, or leave the setting out";
    return {lint};
  }
  const std::uint64_t trim = input.value(heap::kTrimThreshold, &heap::Tunables::trim_threshold).value_or(128 * 1024);
  if (trim >= 2 * kHugePage) return {};
  lint.title = fmt::format("glibc.malloc.hugetlb=1 with a trim threshold of {}: the break moves by 2 MiB, so the top is always beyond it", format_bytes(trim));
  lint.lines.push_back("a free of 64 KiB and more can give 2 MiB back, to be asked for, advised and faulted in again by the next malloc");
  lint.next = fmt::format("with both thresholds: glibc.malloc.hugetlb=1:glibc.malloc.trim_threshold={}:glibc.malloc.mmap_threshold={}", 32 * kHugePage, 16 * kHugePage);
  if (input.mallopts.empty()) {
    lint.instead = with_value(with_value(input.tunables, "trim_threshold", std::to_string(32 * kHugePage)), "mmap_threshold", std::to_string(16 * kHugePage));
  }
  return {lint};
}

FL_REGISTER_LINT(hugetlb_small_top, look);

}  // namespace
}  // namespace faultline::analyze
