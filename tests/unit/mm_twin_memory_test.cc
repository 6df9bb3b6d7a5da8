// TwinMemory: contents, counters and placement as the allocator and the replay rely on them.
#include <gtest/gtest.h>

#include "heap/on/logging_memory.h"
#include "heap/on/twin_memory.h"

namespace faultline::heap {
namespace {

static_assert(MemoryProvider<TwinMemory> && MemoryProvider<LoggingMemory<TwinMemory>>);

constexpr Address kBrk = 0x5555'5557'8000;

struct TwinMemoryTest : testing::Test {
  mm::FrameTable frames;
  mm::AddressSpace space{frames, mm::KernelProfile::linux_6_18()};
  TwinMemory memory{space, kBrk};
  void TearDown() override { memory.check_invariants(); }
};

TEST_F(TwinMemoryTest, MemoryGivenBackReadsAsZero) {
  EXPECT_EQ(memory.sbrk(0), kBrk);
  EXPECT_EQ(memory.sbrk(0x21000), kBrk);
  memory.store_word(kBrk + 8, 77);
  memory.store_word(kBrk + 0x20008, 78);
  EXPECT_EQ(memory.load_word(kBrk + 0x20008), 78u);
  EXPECT_EQ(memory.faults().heap_minor, 2u);
  memory.sbrk(-0x10000);
  memory.sbrk(0x10000);
  EXPECT_EQ(memory.load_word(kBrk + 0x20008), 0u);
  EXPECT_EQ(memory.load_word(kBrk + 8), 77u);
  memory.advise(kBrk, 4096, Advice::dont_need);
  memory.touch(kBrk, 1, true);  // the program's fault clears the page too
  EXPECT_EQ(memory.load_word(kBrk + 8), 0u);
  EXPECT_EQ(memory.faults().heap_minor, 4u);
  EXPECT_EQ(memory.resident_heap_pages(), 1u) << "the page that was only read shows the zero page";

  const Address a = memory.map({.length = 0x30000});
  memory.store_word(a + 8, 5);
  memory.unmap(a, 0x30000);
  EXPECT_EQ(memory.map({.length = 0x30000}), a) << "top-down first fit takes the same gap";
  EXPECT_EQ(memory.load_word(a + 8), 0u);
  EXPECT_EQ(memory.faults().mmapped_minor, 2u);
}

TEST_F(TwinMemoryTest, RemapCarriesContentsAndFollowsRecordedPlaces) {
  memory.place_next_map_at(0x7f00'0000'0000);
  const Address a = memory.map({.length = 0x30000});
  EXPECT_EQ(a, 0x7f00'0000'0000u);
  memory.store_word(a + 8, 5);
  memory.store_word(a + 0x2fff8, 6);
  memory.place_next_map_at(0x7f00'1000'0000);
  const Address b = memory.remap(a, 0x30000, 0x60000);
  EXPECT_EQ(b, 0x7f00'1000'0000u);
  EXPECT_EQ(memory.load_word(b + 8), 5u);
  EXPECT_EQ(memory.load_word(b + 0x2fff8), 6u);
  EXPECT_EQ(memory.faults().mmapped_minor, 2u);
  EXPECT_EQ(memory.remap(b, 0x60000, 0x20000), b);
  EXPECT_EQ(memory.remap(b, 0x20000, 0x60000), b);
  EXPECT_EQ(memory.load_word(b + 0x2fff8), 0u);
  EXPECT_EQ(memory.placement_conflicts(), 0u);
  memory.place_next_map_at(b);
  memory.map({.length = 0x1000});
  EXPECT_EQ(memory.placement_conflicts(), 1u);
}

TEST_F(TwinMemoryTest, ContentsSurviveProtectionAndManyWordsPerPage) {
  const Address a = memory.map({.length = 0x4000});
  for (Address at = a; at < a + 0x4000; at += 8) memory.store_word(at, at);
  memory.protect(a, 0x4000, Protection::none);
  memory.store_word(a, 1);
  EXPECT_EQ(memory.refused_accesses(), 1u);
  memory.protect(a, 0x4000, Protection::read_write);
  for (Address at = a; at < a + 0x4000; at += 8) ASSERT_EQ(memory.load_word(at), at);
  memory.clear(a + 4, 0x1000);
  EXPECT_EQ(memory.load_word(a + 0x800), 0u);
  EXPECT_EQ(memory.load_word(a + 0x1008), a + 0x1008);
  memory.sbrk(0x10000);
  memory.copy(kBrk, a, 0x4000);
  EXPECT_EQ(memory.load_word(kBrk + 0x3000), a + 0x3000);
  memory.copy(a, kBrk + 0x3000, 0x1000);
  EXPECT_EQ(memory.load_word(a + 0x10), a + 0x3010);
  memory.copy(kBrk + 0x8, kBrk, 0x1000);
  EXPECT_EQ(memory.load_word(kBrk + 0x3000), a + 0x3000);
}

TEST_F(TwinMemoryTest, PeakIncludesTheRest) {
  memory.sbrk(0x10000);
  memory.touch(kBrk, 0x10000, true);
  memory.set_rest_pages(100);
  EXPECT_EQ(memory.peak_resident_pages(), 116u);
  memory.sbrk(-0x8000);
  memory.set_rest_pages(90);
  EXPECT_EQ(memory.resident_pages(), 98u);
  EXPECT_EQ(memory.peak_resident_pages(), 116u);
  memory.set_rest_pages(120);
  EXPECT_EQ(memory.peak_resident_pages(), 128u);
}

TEST_F(TwinMemoryTest, TheLogKeepsOrderArgumentsAndResults) {
  LoggingMemory<TwinMemory> log(memory);
  log.sbrk(0);
  log.sbrk(0x21000);
  const Address a = log.map({.length = 0x30000});
  const Address b = log.remap(a, 0x30000, 0x40000);
  log.advise(b, 0x1000, Advice::huge_page);
  log.unmap(b, 0x40000);
  const std::vector<CallRecord> expected = {
      {.kind = MemoryCall::sbrk, .delta = 0x21000, .result = kBrk},
      {.kind = MemoryCall::map, .protection = Protection::read_write, .length = 0x30000, .result = a},
      {.kind = MemoryCall::remap, .address = a, .length = 0x30000, .new_length = 0x40000, .result = b},
      {.kind = MemoryCall::advise, .advice = Advice::huge_page, .address = b, .length = 0x1000},
      {.kind = MemoryCall::unmap, .address = b, .length = 0x40000},
  };
  EXPECT_EQ(log.records(), expected);
  EXPECT_EQ(log.total(), 5u);
  LoggingMemory<TwinMemory> counts(memory, LogMode::counts_only);
  counts.sbrk(0x1000);
  EXPECT_EQ(counts.count(MemoryCall::sbrk), 1u);
  EXPECT_TRUE(counts.records().empty());
}

TEST_F(TwinMemoryTest, AForkedChildHasTheSameContentsAndItsOwnFromThenOn) {
  memory.sbrk(0x21000);
  memory.store_word(kBrk + 8, 77);
  const Address a = memory.map({.length = 0x30000});
  memory.store_word(a + 8, 5);
  const auto child_space = space.fork();
  ASSERT_TRUE(child_space);
  TwinMemory child(**child_space, memory);
  EXPECT_EQ(child.load_word(kBrk + 8), 77u);
  EXPECT_EQ(child.load_word(a + 8), 5u);
  memory.store_word(kBrk + 16, 1);  // a copy: what the page held before stays
  EXPECT_EQ(memory.load_word(kBrk + 8), 77u);
  EXPECT_EQ(child.load_word(kBrk + 16), 0u);
  child.store_word(a + 16, 2);
  EXPECT_EQ(child.load_word(a + 8), 5u);
  EXPECT_EQ(memory.load_word(a + 16), 0u);
  child.sbrk(-0x21000);
  EXPECT_EQ(memory.load_word(kBrk + 8), 77u);
  child.check_invariants();
}

TEST_F(TwinMemoryTest, WhatHappensToTheSpaceBehindItsBackIsSeen) {
  memory.sbrk(0x21000);
  memory.store_word(kBrk + 8, 77);
  memory.store_word(kBrk + 0x1008, 78);
  ASSERT_TRUE(space.madvise(VirtAddr(kBrk), ByteCount(4096), mm::Madvice::dont_need));
  EXPECT_EQ(memory.load_word(kBrk + 8), 0u);
  EXPECT_EQ(memory.load_word(kBrk + 0x1008), 78u);
  EXPECT_EQ(memory.faults().heap_minor, 3u);
  memory.check_invariants();
  const auto child = space.fork();
  ASSERT_TRUE(child);
  memory.store_word(kBrk + 0x1008, 79);
  EXPECT_EQ(memory.faults().heap_minor, 4u) << "shared with the child";
  ASSERT_TRUE(space.mprotect(VirtAddr(kBrk + 0x1000), ByteCount(4096), mm::kProtNone));
  memory.store_word(kBrk + 0x1008, 80);
  EXPECT_EQ(memory.refused_accesses(), 1u);
  ASSERT_TRUE(space.mprotect(VirtAddr(kBrk + 0x1000), ByteCount(4096), mm::kProtReadWrite));
  EXPECT_EQ(memory.load_word(kBrk + 0x1008), 79u);
}

TEST_F(TwinMemoryTest, ForgettingGoesOnForEver) {
  memory.sbrk(0x21000);
  memory.store_word(kBrk + 0x1008, 78);
  for (std::uint64_t round = 0; round < 20'000; ++round) {
    memory.store_word(kBrk + 8, round);
    ASSERT_TRUE(space.madvise(VirtAddr(kBrk), ByteCount(4096), mm::Madvice::dont_need));
    ASSERT_EQ(memory.load_word(kBrk + 8), 0u) << round;
  }
  EXPECT_EQ(memory.load_word(kBrk + 0x1008), 78u);
  EXPECT_EQ(memory.faults().heap_minor, 1 + 2 * 20'000u);
}

TEST_F(TwinMemoryTest, UsedHostMemoryShowsNothingOfItsPast) {
  memory.sbrk(0x21000);
  for (Address at = kBrk + 8; at < kBrk + 0x21000; at += 1024) memory.store_word(at, 77);
  mm::FrameTable other_frames;
  mm::AddressSpace other_space(other_frames, mm::KernelProfile::linux_6_18());
  TwinMemory first(other_space, kBrk);
  first.sbrk(0x21000);
  for (Address at = kBrk + 8; at < kBrk + 0x21000; at += 1024) first.store_word(at, 77);
  mm::AddressSpace next_space(other_frames, mm::KernelProfile::linux_6_18());
  TwinMemory next(next_space, kBrk + 0x3000, std::move(first).take_host_memory());
  next.sbrk(0x21000);
  for (Address at = kBrk + 0x3008; at < kBrk + 0x24000; at += 1024) ASSERT_EQ(next.load_word(at), 0u);
  next.store_word(kBrk + 0x3008, 1);
  next.copy(kBrk + 0x5000, kBrk + 0x3000, 0x1000);
  EXPECT_EQ(next.load_word(kBrk + 0x5008), 1u);
  EXPECT_EQ(next.load_word(kBrk + 0x5408), 0u);
  next.check_invariants();
}

// Words are kept in half their size: whatever is stored is what is read, also where there is no code for it.
TEST(HostPages, EveryWordComesBack) {
  constexpr std::uint64_t kBase = 0x555555559000;
  heap::HostPages pages(kBase, 1 << 20);
  const std::uint64_t values[] = {0, 1, 0x21, 0x7fffffff, 0x80000000, 0xffffffff, std::uint64_t{1} << 40, ~std::uint64_t{0}, heap::kCacheKey,
                                  kBase, kBase + 16, kBase + 8, kBase - 16, kBase + (std::uint64_t{16} << 30) - 16, kBase + (std::uint64_t{16} << 30),
                                  0x7ffff0000010, 0x7ffff0000018, 0x7ffff0000010 + (std::uint64_t{8} << 30) - 32, 0x7ffff0000010 + (std::uint64_t{9} << 30), 0x7fff00000000, 0x10};
  std::uint64_t at = kBase;
  for (const std::uint64_t value : values) pages.store(at += 8, value);
  at = kBase;
  for (const std::uint64_t value : values) EXPECT_EQ(pages.load(at += 8), value) << std::hex << value;
  pages.copy(kBase + 24, kBase + 8, sizeof values);  // memmove
  const heap::HostPages child(pages);
  for (std::size_t i = 0; i < std::size(values); ++i) {
    EXPECT_EQ(pages.load(kBase + 24 + i * 8), values[i]);
    EXPECT_EQ(child.load(kBase + 24 + i * 8), values[i]);
  }
  pages.clear(kBase + 24, 16);
  EXPECT_EQ(pages.load(kBase + 24), 0u);
  EXPECT_EQ(pages.load(kBase + 32), 0u);
  EXPECT_EQ(pages.load(kBase + 40), values[2]);
  pages.drop(kBase);
  EXPECT_EQ(pages.load(kBase + 40), 0u);
}

}  // namespace
}  // namespace faultline::heap
