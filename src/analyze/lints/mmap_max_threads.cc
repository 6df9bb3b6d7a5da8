// Large blocks are kept off mmap in a program with threads: a thread's arena lives in 64 MiB heaps, and a large block that does
// not fit makes a new heap, which the trim that follows may take away again at once: five system calls for one block, every
// time. malloc/malloc.c, sysmalloc and heap_trim.
#include <fmt/format.h>

#include "analyze/format.h"
#include "analyze/lints.h"
#include "heap/settings.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kHalfHeap = std::uint64_t{32} << 20;  // two such blocks fill a thread's heap

std::vector<Lint> look(const LintInput& input) {
  if (input.threads < 2) return {};
  const bool no_maps = input.value(heap::kMmapMax, &heap::Tunables::mmap_max) == 0U;
  const std::uint64_t threshold = input.value(heap::kMmapThreshold, &heap::Tunables::mmap_threshold).value_or(0);
  if (!no_maps && threshold < kHalfHeap) return {};
  Lint lint;
  lint.title = no_maps ? fmt::format("mmap_max=0 in a program of {} threads: their large blocks must fit into arenas of 64 MiB", input.threads)
                       : fmt::format("mmap_threshold of {} in a program of {} threads: blocks up to that size must fit into arenas of 64 MiB", format_bytes(threshold), input.threads);
  lint.lines.push_back("a block that does not fit opens a new heap, which may be taken away again at once: mmap, 2 munmap, mprotect and brk for one malloc");
  lint.next = "mmap_threshold of at most some MiB, with a trim_threshold to go with it";
  return {lint};
}

FL_REGISTER_LINT(mmap_max_threads, look);

}  // namespace
}  // namespace faultline::analyze
