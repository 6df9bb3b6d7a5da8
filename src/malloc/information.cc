// What malloc can tell about itself: mallinfo(3), malloc_stats(3), malloc_info(3), and facts.h for tests.
#include <malloc.h>
#include <stdio.h>

#include "malloc/facts.h"
#include "malloc/threads.h"

#define FL_EXPORT extern "C" __attribute__((visibility("default")))

namespace faultline::allocator {
namespace {

using heap::Address;
using Entry = Heap::Entry;

struct ArenaNumbers {
  std::size_t system = 0, peak = 0, free_chunks = 0, free_bytes = 0, fast_chunks = 0, fast_bytes = 0, top_bytes = 0;

  void operator+=(const ArenaNumbers& other) {
    system += other.system;
    peak += other.peak;
    free_chunks += other.free_chunks;
    free_bytes += other.free_bytes;
    fast_chunks += other.fast_chunks;
    fast_bytes += other.fast_bytes;
  }
};

// As glibc's int_mallinfo: the top counts as a free chunk, a fastbin chunk as free bytes.
ArenaNumbers count(Heap& heap, Entry& entry) {
  ArenaNumbers numbers;
  entry.mutex.lock();
  const auto& arena = entry.arena;
  numbers.system = arena.system_mem();
  numbers.peak = arena.max_system_mem();
  numbers.top_bytes = arena.top_size();
  for (unsigned bin = 0; bin < 10; ++bin) {
    for (Address chunk = arena.fastbins().head(bin); chunk != 0; chunk = arena.fastbins().next(chunk)) {
      ++numbers.fast_chunks;
      numbers.fast_bytes += heap.headers().size(chunk);
    }
  }
  const auto& bins = arena.bins();
  for (unsigned bin = heap::kUnsortedBin; bin < heap::kBinCount - 1; ++bin) {
    for (Address chunk = bins.last(bin); !bins.is_token(chunk); chunk = bins.bk(chunk)) {
      ++numbers.free_chunks;
      numbers.free_bytes += heap.headers().size(chunk);
    }
  }
  numbers.free_chunks += 1;
  numbers.free_bytes += numbers.fast_bytes + numbers.top_bytes;
  entry.mutex.unlock();
  return numbers;
}

template <class Each>
ArenaNumbers for_each_arena(Each each) {
  if (local_thread() == nullptr) begin_thread();
  Heap& heap = process_heap();
  ArenaNumbers total;
  heap::ArenaId id = heap::kMainArena;
  do {
    const ArenaNumbers numbers = count(heap, heap.arenas().at(id));
    if (id == heap::kMainArena) total.top_bytes = numbers.top_bytes;
    total += numbers;
    each(id, numbers);
    id = heap.arenas().next(id);
  } while (id != heap::kMainArena);
  return total;
}

FaultlineArenaFacts facts_of(const heap::Arena<heap::KernelMemory>& arena) {
  return {arena.top(), arena.system_mem(), arena.max_system_mem()};
}

}  // namespace
}  // namespace faultline::allocator

using namespace faultline::allocator;
namespace heap = faultline::heap;

FL_EXPORT struct mallinfo2 mallinfo2(void) noexcept {
  const ArenaNumbers numbers = for_each_arena([](auto...) {});
  const auto& mapped = process_heap().common().mapped;
  struct mallinfo2 info = {};
  info.arena = numbers.system;
  info.ordblks = numbers.free_chunks;
  info.smblks = numbers.fast_chunks;
  info.hblks = static_cast<std::size_t>(mapped.count());
  info.hblkhd = mapped.bytes();
  info.fsmblks = numbers.fast_bytes;
  info.uordblks = numbers.system - numbers.free_bytes;
  info.fordblks = numbers.free_bytes;
  info.keepcost = numbers.top_bytes;
  return info;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
FL_EXPORT struct mallinfo mallinfo(void) noexcept {
  const struct mallinfo2 wide = mallinfo2();
  struct mallinfo info = {};
  info.arena = static_cast<int>(wide.arena);
  info.ordblks = static_cast<int>(wide.ordblks);
  info.smblks = static_cast<int>(wide.smblks);
  info.hblks = static_cast<int>(wide.hblks);
  info.hblkhd = static_cast<int>(wide.hblkhd);
  info.fsmblks = static_cast<int>(wide.fsmblks);
  info.uordblks = static_cast<int>(wide.uordblks);
  info.fordblks = static_cast<int>(wide.fordblks);
  info.keepcost = static_cast<int>(wide.keepcost);
  return info;
}
#pragma GCC diagnostic pop

FL_EXPORT void malloc_stats(void) noexcept {
  const ArenaNumbers total = for_each_arena([](heap::ArenaId id, const ArenaNumbers& numbers) {
    fprintf(stderr, "Arena %u:\nsystem bytes     = %10zu\nin use bytes     = %10zu\n", id, numbers.system, numbers.system - numbers.free_bytes);
  });
  const auto& mapped = process_heap().common().mapped;
  fprintf(stderr, "Total (incl. mmap):\nsystem bytes     = %10zu\nin use bytes     = %10zu\n", total.system + mapped.bytes(),
          total.system - total.free_bytes + mapped.bytes());
  fprintf(stderr, "mmap regions now = %10d\nmmap bytes now   = %10zu\n", mapped.count(), std::size_t{mapped.bytes()});
}

// The totals of glibc's document, arena by arena, without its list of sizes.
FL_EXPORT int malloc_info(int options, FILE* out) noexcept {
  if (options != 0) return EINVAL;
  fputs("<malloc version=\"1\">\n", out);
  const auto print = [out](const ArenaNumbers& numbers) {
    fprintf(out, "<total type=\"fast\" count=\"%zu\" size=\"%zu\"/>\n<total type=\"rest\" count=\"%zu\" size=\"%zu\"/>\n", numbers.fast_chunks,
            numbers.fast_bytes, numbers.free_chunks, numbers.free_bytes - numbers.fast_bytes);
  };
  const auto print_system = [out](const ArenaNumbers& numbers) {
    fprintf(out, "<system type=\"current\" size=\"%zu\"/>\n<system type=\"max\" size=\"%zu\"/>\n", numbers.system, numbers.peak);
  };
  const ArenaNumbers total = for_each_arena([&](heap::ArenaId id, const ArenaNumbers& numbers) {
    fprintf(out, "<heap nr=\"%u\">\n<sizes>\n</sizes>\n", id);
    print(numbers);
    print_system(numbers);
    fputs("</heap>\n", out);
  });
  const auto& mapped = process_heap().common().mapped;
  print(total);
  fprintf(out, "<total type=\"mmap\" count=\"%d\" size=\"%zu\"/>\n", mapped.count(), std::size_t{mapped.bytes()});
  print_system(total);
  fputs("</malloc>\n", out);
  return 0;
}

FL_EXPORT uint64_t faultline_malloc_arena(const void* block) {
  if (block == nullptr) return 0;
  const Address chunk = heap::chunk_of_user(reinterpret_cast<Address>(block));
  const std::uint64_t head = process_heap().headers().head(chunk);
  if ((head & (heap::kMmapped | heap::kNonMain)) != heap::kNonMain) return 0;
  return process_heap().entry_of(chunk, head).arena.id();
}

FL_EXPORT void faultline_malloc_facts(uint64_t arena, FaultlineMallocFacts* facts) {
  if (local_thread() == nullptr) begin_thread();
  auto& arenas = process_heap().arenas();
  const auto& common = process_heap().common();
  *facts = {};
  facts->main = facts_of(arenas.main().arena);
  if (arena != 0) facts->arena = facts_of(arenas.at(static_cast<heap::ArenaId>(arena)).arena);
  facts->heap_start = arenas.main().arena.heap_start();
  facts->mmapped_bytes = common.mapped.bytes();
  facts->n_mmaps = static_cast<std::uint32_t>(common.mapped.count());
  facts->mmap_threshold = common.settings.mmap_threshold;
  facts->trim_threshold = common.settings.trim_threshold;
  facts->explicit_huge_page = common.settings.explicit_huge_page;
}
