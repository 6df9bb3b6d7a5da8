// The categories of a ledger: every resident page of a process is in them, each byte in one. Keys are stable; their order is that
// of every table and chart. A new one is a line in the enum and a line in the table.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace faultline::analyze {

enum class LedgerPart : std::uint8_t {
  heap_live, heap_rounding, heap_tcache, heap_fastbins, heap_free, heap_pinned, heap_top, heap_own,
  arena_slack, heap_other, heap_undivided,
  mmapped_live, mmapped_rounding, thp_slack,
  anonymous, stack_main, stack_threads, bss, file_private, file_clean, file_dirty, shared_memory, kernel, recorder,
};
inline constexpr std::size_t kLedgerParts = 24;

// Charts with few colours sum parts by group.
enum class LedgerGroup : std::uint8_t { live, overhead, retained, program, files, recorder };

struct LedgerPartFacts {
  std::string_view key;          // of JSON, with _bytes behind it
  LedgerGroup group;
  std::string_view title;        // a few words
  std::string_view explanation;  // one sentence: what it is, and what changes it
};

inline constexpr std::array<LedgerPartFacts, kLedgerParts> kLedgerPartFacts = {{
    {"heap_live", LedgerGroup::live, "live blocks, touched", "What the program asked for, has not freed, and lies in pages it touched."},
    {"heap_rounding", LedgerGroup::overhead, "headers and rounding", "Chunk headers, alignment, and what resizing left of live blocks."},
    {"heap_tcache", LedgerGroup::retained, "free: thread caches", "Freed small blocks the threads' caches keep for the next request of their size."},
    {"heap_fastbins", LedgerGroup::retained, "free: fastbins", "Freed small chunks that wait to be merged with their neighbours."},
    {"heap_free", LedgerGroup::retained, "free: whole pages", "Free chunks' whole pages: malloc_trim(0) gives them back."},
    {"heap_pinned", LedgerGroup::retained, "free: holes between blocks", "Free chunks in pages that live or cached blocks share: no call gives them back."},
    {"heap_top", LedgerGroup::retained, "free: top of the heap", "Above the highest chunk of the main heap, kept for the next request; trimmed past the trim threshold."},
    {"heap_own", LedgerGroup::overhead, "malloc's own", "Arena headers, the caches' tables, fences."},
    {"arena_slack", LedgerGroup::retained, "free: top of thread arenas", "The same as top in the heaps of thread arenas, and what else of their 64 MiB is resident: malloc_trim does not give it back."},
    {"heap_other", LedgerGroup::program, "in the break, not malloc's", "Memory of sbrk calls that are not malloc's, and page ends beside its heaps."},
    {"heap_undivided", LedgerGroup::live, "heap, not divided", "Memory of malloc's where it was not replayed: another allocator, too many events, or the state of the heap is not known."},
    {"mmapped_live", LedgerGroup::live, "live blocks, own mapping", "Blocks above the mmap threshold, the touched bytes of what was asked for."},
    {"mmapped_rounding", LedgerGroup::overhead, "their headers and page ends", "The header before such a block and the rest of its last page."},
    {"thp_slack", LedgerGroup::overhead, "huge pages' slack", "Resident only because a huge page reaches there: top, or the end of a mapped block, of which nothing is in use."},
    {"anonymous", LedgerGroup::program, "the program's own mappings", "Anonymous memory the program mapped itself."},
    {"stack_main", LedgerGroup::program, "stack", "The main thread's, with arguments and environment."},
    {"stack_threads", LedgerGroup::program, "thread stacks", "Mappings with MAP_STACK; glibc keeps those of ended threads for the next ones."},
    {"bss", LedgerGroup::program, "zeroed data (bss)", "Global variables without an initial value, of the program and its libraries."},
    {"file_private", LedgerGroup::program, "copies of file pages", "Pages of private file mappings that were written (copy on write): data segments, relocations."},
    {"file_clean", LedgerGroup::files, "files, clean", "Pages of the page cache: code, read-only data, mapped files. Shared with whoever maps them, dropped under pressure."},
    {"file_dirty", LedgerGroup::files, "files, dirty", "The same, written and not yet on disk: to be written back first."},
    {"shared_memory", LedgerGroup::files, "shared memory", "MAP_SHARED anonymous memory, tmpfs, System V segments."},
    {"kernel", LedgerGroup::program, "the kernel's own (vdso)", "The page of code every process is given."},
    {"recorder", LedgerGroup::recorder, "the recorder", "What faultline's recorder added: its rings and its library. Not there in a run without it."},
}};

constexpr const LedgerPartFacts& facts_of(LedgerPart part) { return kLedgerPartFacts[static_cast<std::size_t>(part)]; }
std::string_view name_of(LedgerGroup group);  // as in JSON

}  // namespace faultline::analyze
