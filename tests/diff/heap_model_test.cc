// What the differential test cannot reach: a thread told its arena, wrong input, flat memory's options.
#include <gtest/gtest.h>

#include <map>

#include "heap/heap.h"
#include "heap/on/flat_memory.h"
#include "heap/on/logging_memory.h"

namespace faultline::heap {
namespace {

using Model = Heap<FlatMemory>;
constexpr Address kElsewhere = 0x7f0000001000;  // no memory of ours

TEST(HeapModel, ACacheHoldsBlocksOfAnyArena) {
  FlatMemory memory;
  Model model(memory, {});
  const Address ours = model.malloc(1, 50), theirs = model.malloc(7, 50);
  EXPECT_EQ(model.arena_of(1), kMainArena);
  EXPECT_EQ(model.arena_of(7), 1U);
  EXPECT_EQ(theirs % kThreadHeapBytes, 0xb70U);
  EXPECT_EQ(model.arena_holding(theirs), 1U);
  model.free(7, ours);
  model.free(1, theirs);
  EXPECT_EQ(model.malloc(7, 50), ours);
  EXPECT_EQ(model.malloc(1, 50), theirs);
  model.free(1, theirs);
  model.check_invariants();
  model.thread_exit(7);
  model.check_invariants();
  EXPECT_EQ(model.arena_of(7), kNoArena);
  EXPECT_GT(model.malloc(8, 50), model.state(1).heap_start);
  EXPECT_EQ(model.arena_of(8), 1U);  // free, so the next thread's
}

TEST(HeapModel, AnEndingThreadGivesBackItsCacheAndItsStruct) {
  FlatMemory memory;
  Model model(memory, {});
  const Address first = model.malloc(1, 1000), guard = model.malloc(1, 10);
  model.use_arena(2, kMainArena);
  const Address other = model.malloc(2, 1000), behind = model.malloc(2, 10);
  model.free(2, other);
  EXPECT_EQ(model.chunk_of(other).size, 1008U);
  model.thread_exit(2);
  std::map<Address, ChunkUse> uses;
  model.for_each_chunk([&uses](Address chunk, std::uint64_t, ChunkUse use) { uses[chunk] = use; });
  EXPECT_EQ(uses.at(chunk_of_user(other) - 656), ChunkUse::bin);  // merged with the struct below it
  EXPECT_EQ(uses.at(chunk_of_user(guard)), ChunkUse::live);
  EXPECT_EQ(uses.at(chunk_of_user(first)), ChunkUse::live);
  EXPECT_EQ(uses.at(chunk_of_user(behind)), ChunkUse::live);
  EXPECT_EQ(uses.rbegin()->second, ChunkUse::top);
  model.check_invariants();
}

TEST(HeapModel, WrongInputIsAssertedAgainst) {
  FlatMemory memory;
  Model model(memory, {});
  const Address block = model.malloc(1, 24), large = model.malloc(1, 5000);
  model.malloc(1, 24);
  EXPECT_TRUE(model.owns(block));
  EXPECT_FALSE(model.owns(0));
  EXPECT_FALSE(model.owns(kElsewhere));
  EXPECT_FALSE(model.owns(block + 8));
  EXPECT_DEATH(model.free(1, kElsewhere), "internal error");
  EXPECT_DEATH(model.free(1, memory.start_break() + (1 << 30)), "internal error");
  model.free(1, block);
  EXPECT_DEATH(model.free(1, block), "internal error");
  model.free(1, large);
  EXPECT_FALSE(model.owns(large));
  EXPECT_DEATH(model.free(1, large), "internal error");
  memory.store_word(large - 8, 0x30);  // an overrun wrote over the header
  EXPECT_DEATH(model.malloc(1, 4000), "internal error");
}

TEST(HeapModel, FlatMemoryRefusesWhatItIsToldTo) {
  FlatMemoryOptions options;
  options.start_offset = 24;
  options.brk_limit_bytes = 1 << 20;
  options.refuse_map = [](std::uint64_t length) { return length > 4 << 20; };
  FlatMemory flat(options);
  LoggingMemory<FlatMemory> memory(flat);
  Parameters parameters;
  parameters.tunables.mmap_max = 0;
  Heap<LoggingMemory<FlatMemory>> model(memory, parameters);
  EXPECT_EQ(model.malloc(1, 1) % 16, 0U);
  std::uint64_t in_mappings = 0;
  for (int i = 0; i < 40; ++i) {
    const Address block = model.malloc(1, 60000);
    ASSERT_NE(block, 0U);
    if (block > flat.sbrk(0) || block < flat.start_break()) ++in_mappings;
    model.check_invariants();
  }
  EXPECT_GT(in_mappings, 20U);
  EXPECT_EQ(model.malloc(1, 5 << 20), 0U);  // neither the break nor a mapping
  EXPECT_GT(memory.count(MemoryCall::map), 1U);
}

TEST(HeapModel, PagesGivenBackReadAsZero) {
  FlatMemory memory;
  const Address old = memory.sbrk(3 * 4096);
  memory.store_word(old + 2 * 4096, 42);
  memory.store_word(old, 43);
  memory.sbrk(-2 * 4096 + 8);
  memory.sbrk(2 * 4096 - 8);
  EXPECT_EQ(memory.load_word(old + 2 * 4096), 0U);
  EXPECT_EQ(memory.load_word(old), 43U);
  EXPECT_EQ(memory.sbrk(-4 * 4096), kFailed);
}

TEST(HeapModel, WhatIsNotModelledSaysSo) {
  Parameters parameters;
  EXPECT_FALSE(not_modelled(parameters));
  parameters.tunables.hugetlb = 2;
  EXPECT_TRUE(not_modelled(parameters));
}

}  // namespace
}  // namespace faultline::heap
