// How fast the heap model runs over flat memory. Items are malloc and free calls. The target of docs/design is 20 M/s.
#include <benchmark/benchmark.h>

#include <array>
#include <vector>

#include "heap/heap.h"
#include "heap/on/flat_memory.h"

namespace faultline {
namespace {

using heap::Address;
constexpr heap::ThreadId kThread = 1;

class Random {
 public:
  std::uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }

 private:
  std::uint64_t state_ = 0x2545f4914f6cdd1d;
};

void hot_tcache_pair(benchmark::State& state) {
  heap::FlatMemory memory;
  heap::Heap<heap::FlatMemory> model(memory, {});
  for (auto _ : state) model.free(kThread, model.malloc(kThread, 40));
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(hot_tcache_pair);

// Sizes as programs have them: mostly below 200 bytes, some kilobytes, now and then a large buffer. 4000 live blocks.
void mixed_sizes(benchmark::State& state) {
  heap::FlatMemory memory;
  heap::Heap<heap::FlatMemory> model(memory, {});
  Random random;
  std::vector<std::uint32_t> sizes(1 << 16), places(1 << 16);
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const std::uint64_t kind = random.next() % 100;
    const std::uint64_t limit = kind < 85 ? 200 : kind < 97 ? 2000 : 40000;
    sizes[i] = static_cast<std::uint32_t>(random.next() % limit);
    places[i] = static_cast<std::uint32_t>(random.next() % 4000);
  }
  std::vector<Address> live(4000);
  std::size_t i = 0;
  std::int64_t calls = 0;
  for (auto _ : state) {
    Address& block = live[places[i]];
    if (block != 0) {
      model.free(kThread, block);
      ++calls;
    }
    block = model.malloc(kThread, sizes[i]);
    ++calls;
    i = (i + 1) & (sizes.size() - 1);
  }
  state.SetItemsProcessed(calls);
}
BENCHMARK(mixed_sizes);

// A tree is built and torn down: runs of small blocks, freed oldest first. Larger than the caches: fastbins and merges.
void build_and_tear_down(benchmark::State& state) {
  heap::FlatMemory memory;
  heap::Heap<heap::FlatMemory> model(memory, {});
  std::array<Address, 1000> blocks{};
  for (auto _ : state) {
    for (std::size_t i = 0; i < blocks.size(); ++i) blocks[i] = model.malloc(kThread, 24 + i % 7 * 16);
    for (const Address block : blocks) model.free(kThread, block);
  }
  state.SetItemsProcessed(state.iterations() * 2000);
}
BENCHMARK(build_and_tear_down);

// Large blocks with a mapping each: the cost is the host's mmap.
void mapped_blocks(benchmark::State& state) {
  heap::FlatMemory memory;
  heap::Parameters parameters;
  parameters.tunables.mmap_threshold = 128 * 1024;
  heap::Heap<heap::FlatMemory> model(memory, parameters);
  for (auto _ : state) model.free(kThread, model.malloc(kThread, 200000));
  state.SetItemsProcessed(state.iterations() * 2);
}
BENCHMARK(mapped_blocks);

}  // namespace
}  // namespace faultline

BENCHMARK_MAIN();
