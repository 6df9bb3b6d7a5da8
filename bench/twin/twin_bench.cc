// Speed of the twin's kernel side. items_per_second is page references, faults, system calls or words.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "heap/on/twin_memory.h"
#include "mm/space/address_space.h"

namespace faultline {
namespace {

constexpr std::uint64_t kBase = 0x100'0000'0000;

std::uint64_t next_random(std::uint64_t& state) {  // xorshift64*
  state ^= state >> 12;
  state ^= state << 25;
  state ^= state >> 27;
  return state * 0x2545F4914F6CDD1D;
}

mm::MmapArguments fixed(std::uint64_t address, std::uint64_t length) {
  return {.address = VirtAddr(address),
          .length = ByteCount(length),
          .flags = mm::kMapPrivate | mm::kMapAnonymous | mm::kMapFixed};
}

struct Twin {
  mm::FrameTable frames;
  mm::AddressSpace space{frames, mm::KernelProfile::linux_6_18()};
};

// Uniformly random references to resident pages; range(0): MiB.
void BM_ReferencesThatHit(benchmark::State& state) {
  Twin twin;
  const std::uint64_t bytes = static_cast<std::uint64_t>(state.range(0)) << 20;
  (void)twin.space.mmap(fixed(kBase, bytes));
  for (std::uint64_t at = 0; at < bytes; at += kPageSize) twin.space.access(VirtAddr(kBase + at), true);
  std::vector<std::uint64_t> addresses(1 << 16);
  std::uint64_t seed = 88172645463325252;
  for (std::uint64_t& address : addresses) address = kBase + next_random(seed) % bytes;
  for (auto _ : state) {
    std::uint64_t hits = 0;
    for (const std::uint64_t address : addresses) {
      hits += twin.space.access(VirtAddr(address), (address & 64) != 0) == mm::Access::hit;
    }
    if (hits != addresses.size()) state.SkipWithError("a reference faulted");
    benchmark::DoNotOptimize(hits);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(addresses.size()));
}
BENCHMARK(BM_ReferencesThatHit)->Arg(16)->Arg(256)->Arg(1024);

// First writes to 64 MiB, then MADV_DONTNEED: faults and giving the frames back.
void BM_DemandZeroFaults(benchmark::State& state) {
  Twin twin;
  constexpr std::uint64_t bytes = 64 << 20;
  (void)twin.space.mmap(fixed(kBase, bytes));
  for (auto _ : state) {
    for (std::uint64_t at = 0; at < bytes; at += kPageSize) twin.space.access(VirtAddr(kBase + at), true);
    (void)twin.space.madvise(VirtAddr(kBase), ByteCount(bytes), mm::Madvice::dont_need);
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(bytes / kPageSize));
}
BENCHMARK(BM_DemandZeroFaults);

// range(0) mappings that never merge (each its own file); a random one is unmapped and one of another size mapped where
// the kernel puts it.
void BM_MapAndUnmap(benchmark::State& state) {
  Twin twin;
  const auto count = static_cast<std::size_t>(state.range(0));
  mm::MmapArguments anywhere;
  anywhere.flags = mm::kMapPrivate;
  std::uint64_t seed = 88172645463325252;
  std::vector<std::pair<VirtAddr, ByteCount>> places(count);
  const auto map = [&](std::pair<VirtAddr, ByteCount>& place) {
    ++anywhere.file;
    anywhere.length = ByteCount(kPageSize * (1 + next_random(seed) % 8));
    place = {*twin.space.mmap(anywhere), anywhere.length};
  };
  for (auto& place : places) map(place);
  for (auto _ : state) {
    auto& place = places[next_random(seed) % count];
    (void)twin.space.munmap(place.first, place.second);
    map(place);
  }
  state.counters["vmas"] = static_cast<double>(twin.space.vmas().size());
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(BM_MapAndUnmap)->Arg(1000)->Arg(10000)->Arg(60000);

// mprotect of a random middle page back and forth: two splits, then two merges.
void BM_ProtectSplitsAndMerges(benchmark::State& state) {
  Twin twin;
  const auto count = static_cast<std::uint64_t>(state.range(0));
  for (std::uint64_t i = 0; i < count; ++i) (void)twin.space.mmap(fixed(kBase + i * 4 * kPageSize, 3 * kPageSize));
  std::uint64_t seed = 88172645463325252;
  for (auto _ : state) {
    const VirtAddr page(kBase + next_random(seed) % count * 4 * kPageSize + kPageSize);
    (void)twin.space.mprotect(page, ByteCount(kPageSize), mm::kProtRead);
    (void)twin.space.mprotect(page, ByteCount(kPageSize), mm::kProtReadWrite);
  }
  state.SetItemsProcessed(2 * state.iterations());
}
BENCHMARK(BM_ProtectSplitsAndMerges)->Arg(1000);

// The allocator's view: header words on range(0) KiB of resident heap, and the break going up and down.
void BM_HeaderWords(benchmark::State& state) {
  Twin twin;
  heap::TwinMemory memory(twin.space, 0x5555'5557'8000);
  const std::uint64_t bytes = static_cast<std::uint64_t>(state.range(0)) << 10;
  const heap::Address start = memory.sbrk(static_cast<std::int64_t>(bytes));
  memory.touch(start, bytes, true);
  std::vector<heap::Address> addresses(1 << 14);
  std::uint64_t seed = 88172645463325252;
  for (heap::Address& address : addresses) address = start + next_random(seed) % bytes / 16 * 16 + 8;
  for (const heap::Address address : addresses) memory.store_word(address, address);
  for (auto _ : state) {
    for (const heap::Address address : addresses) memory.store_word(address, memory.load_word(address) ^ 1);
  }
  state.SetItemsProcessed(2 * state.iterations() * static_cast<std::int64_t>(addresses.size()));
}
BENCHMARK(BM_HeaderWords)->Arg(128)->Arg(16384);

void BM_BreakUpTouchDown(benchmark::State& state) {
  Twin twin;
  heap::TwinMemory memory(twin.space, 0x5555'5557'8000);
  memory.sbrk(132 << 10);
  for (auto _ : state) {
    const heap::Address top = memory.sbrk(132 << 10);
    for (std::uint64_t at = 0; at < 132 << 10; at += kPageSize) memory.store_word(top + at, at);
    memory.sbrk(-(132 << 10));
  }
  state.SetItemsProcessed(state.iterations() * 33);
}
BENCHMARK(BM_BreakUpTouchDown);

}  // namespace
}  // namespace faultline

BENCHMARK_MAIN();
