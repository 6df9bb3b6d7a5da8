// What the kernel specs cannot reach: page walks, page-table memory, limits, tags, a machine without frames.
#include <gtest/gtest.h>

#include "mm/paging/page_walk.h"
#include "mm/space/address_space.h"

namespace faultline::mm {
namespace {

constexpr std::uint64_t kBase = 0x7f12'3456'7000;

struct Twin : testing::Test {
  FrameTable frames;
  AddressSpace space{frames, KernelProfile::linux_6_18()};

  static MmapArguments at(std::uint64_t address, std::uint64_t pages, VmaTag tag = VmaTag::other) {
    return {.address = VirtAddr(address),
            .length = PageCount(pages).bytes(),
            .flags = kMapPrivate | kMapAnonymous | kMapFixed,
            .tag = tag};
  }
  void TearDown() override {
    space.check_invariants();
    frames.check_invariants();
  }
};

TEST_F(Twin, AWalkShowsFourLevels) {
  (void)space.mmap(at(kBase, 4));
  EXPECT_EQ(walk(space.page_table(), VirtAddr(kBase)).length, 1) << "no table below the root before the first fault";
  EXPECT_EQ(space.access(VirtAddr(kBase + 8), true), Access::minor_fault);
  const PageWalk seen = walk(space.page_table(), VirtAddr(kBase + 8));
  ASSERT_TRUE(seen.translated);
  ASSERT_EQ(seen.length, 4);
  const std::uint64_t vpn = kBase >> 12;
  EXPECT_EQ(seen.steps[0].index, vpn >> 27 & 511);
  EXPECT_EQ(seen.steps[1].index, vpn >> 18 & 511);
  EXPECT_EQ(seen.steps[2].index, vpn >> 9 & 511);
  EXPECT_EQ(seen.steps[3].index, vpn & 511);
  EXPECT_TRUE(seen.steps[3].entry.dirty());
  EXPECT_TRUE(seen.steps[3].entry.no_execute());
  EXPECT_NE(seen.to_string().find("PGD[254] -> PUD["), std::string::npos) << seen.to_string();
  EXPECT_EQ(space.page_table().table_pages(), 3u);
}

TEST_F(Twin, TablePagesGoWhenNothingElseNeedsThem) {
  constexpr std::uint64_t region = std::uint64_t{2} << 20;
  (void)space.mmap(at(region * 100, 512 * 3));
  for (std::uint64_t i = 0; i < 3; ++i) space.access(VirtAddr(region * (100 + i)), true);
  EXPECT_EQ(space.page_table().table_pages(), 5u);  // PUD, PMD, three PTE tables
  (void)space.munmap(VirtAddr(region * 101), PageCount(512).bytes());
  EXPECT_EQ(space.page_table().table_pages(), 4u);
  (void)space.madvise(VirtAddr(region * 100), PageCount(512).bytes(), Madvice::dont_need);
  EXPECT_EQ(space.page_table().table_pages(), 3u) << "advice on whole tables gives them back too";
  space.access(VirtAddr(region * 100), true);
  (void)space.madvise(VirtAddr(region * 100), PageCount(511).bytes(), Madvice::dont_need);
  EXPECT_EQ(space.page_table().table_pages(), 4u) << "advice on less than a table leaves it";
  (void)space.munmap(VirtAddr(region * 100), PageCount(511).bytes());
  EXPECT_EQ(space.page_table().table_pages(), 4u) << "its last page is still mapped";
  (void)space.munmap(VirtAddr(region * 100), PageCount(512 * 3).bytes());
  EXPECT_EQ(space.page_table().table_pages(), 0u);
  EXPECT_EQ(frames.in_use(), 1u) << "only the root table is left";
}

TEST_F(Twin, TagsKeepApartAndCountApart) {
  (void)space.mmap(at(kBase, 2, VmaTag::mmapped_chunk));
  (void)space.mmap(at(kBase + 2 * kPageSize, 2, VmaTag::other));
  EXPECT_EQ(space.vmas().size(), 2u);
  for (std::uint64_t i = 0; i < 3; ++i) space.access(VirtAddr(kBase + i * kPageSize), true);
  space.access(VirtAddr(kBase + 3 * kPageSize), false);
  const Statistics& counted = space.statistics();
  EXPECT_EQ(counted.of(VmaTag::mmapped_chunk).minor_faults, 2u);
  EXPECT_EQ(counted.of(VmaTag::other).faults[static_cast<std::size_t>(FaultPath::zero_page)], 1u);
  EXPECT_EQ(counted.of(VmaTag::other).resident_pages, 1u);
  (void)space.munmap(VirtAddr(kBase), PageCount(2).bytes());
  EXPECT_EQ(counted.resident_pages, 1u);
  EXPECT_EQ(counted.peak_resident_pages, 3u);
}

TEST_F(Twin, TheMapCountIsLimited) {
  KernelProfile profile = KernelProfile::linux_6_18();
  profile.max_map_count = 8;
  AddressSpace small(frames, profile);
  ASSERT_TRUE(small.mmap(at(kBase, 64)));
  for (std::uint64_t i = 1; i < 8; ++i) {
    // The last of these would be the ninth mapping.
    const auto done = small.mprotect(VirtAddr(kBase + i * 2 * kPageSize), ByteCount(kPageSize), kProtRead);
    EXPECT_EQ(done.has_value(), i <= 3) << i;
  }
  EXPECT_EQ(small.vmas().size(), 8u);
  EXPECT_EQ(small.munmap(VirtAddr(kBase + 20 * kPageSize), ByteCount(kPageSize)).error(), Errno::nomem);
  EXPECT_TRUE(small.munmap(VirtAddr(kBase), ByteCount(kPageSize)));
  EXPECT_EQ(small.madvise(VirtAddr(kBase + 30 * kPageSize), ByteCount(kPageSize), Madvice::huge_page).error(),
            Errno::again);
  small.check_invariants();
}

TEST_F(Twin, ResourceLimitsRefuse) {
  AddressSpace limited(frames, KernelProfile::linux_6_18(), AddressSpace::Layout{},
                       {.address_space = 64 * kPageSize, .data = 32 * kPageSize});
  const VirtAddr start = limited.start_brk();
  EXPECT_EQ(limited.brk(start + PageCount(33).bytes()), start);
  EXPECT_EQ(limited.brk(start + PageCount(8).bytes()), start + PageCount(8).bytes());
  EXPECT_EQ(limited.mmap(at(kBase, 25)).error(), Errno::nomem) << "8 + 25 data pages of 32";
  MmapArguments read_only = at(kBase, 56);
  read_only.prot = kProtRead;
  EXPECT_TRUE(limited.mmap(read_only));
  read_only.address = VirtAddr(kBase + 100 * kPageSize);
  EXPECT_EQ(limited.mmap(read_only).error(), Errno::nomem) << "RLIMIT_AS";
  limited.check_invariants();
}

TEST_F(Twin, TheBreakStopsBelowAMapping) {
  const VirtAddr start = space.start_brk();
  (void)space.mmap(at(start.value + 10 * kPageSize, 1));
  EXPECT_EQ(space.brk(start + PageCount(10).bytes()), start) << "one page stays free above the heap";
  EXPECT_EQ(space.brk(start + PageCount(9).bytes()), start + PageCount(9).bytes());
}

TEST_F(Twin, AMachineWithoutFramesSaysSo) {
  FrameTable few(6);  // root, three tables, two pages
  AddressSpace tiny(few, KernelProfile::linux_6_18());
  (void)tiny.mmap(at(kBase, 4));
  EXPECT_EQ(tiny.access(VirtAddr(kBase), true), Access::minor_fault);
  EXPECT_EQ(tiny.access(VirtAddr(kBase + kPageSize), true), Access::minor_fault);
  EXPECT_EQ(tiny.access(VirtAddr(kBase + 2 * kPageSize), true), Access::out_of_memory);
  EXPECT_EQ(tiny.access(VirtAddr(kBase + 2 * kPageSize), false), Access::minor_fault) << "the zero page is free";
  (void)tiny.madvise(VirtAddr(kBase), ByteCount(kPageSize), Madvice::dont_need);
  EXPECT_EQ(tiny.access(VirtAddr(kBase + 3 * kPageSize), true), Access::minor_fault);
  tiny.check_invariants();
}

TEST_F(Twin, AStackGrowsToItsLimit) {
  MmapArguments stack = at(0x7fff'ff00'0000, 1);
  stack.flags |= kMapGrowsDown;
  (void)space.mmap(stack);
  EXPECT_EQ(space.access(VirtAddr(0x7fff'ff00'0000 - 5 * kPageSize), true), Access::minor_fault);
  EXPECT_EQ(space.vmas().find(0)->pages(), 6u);
  EXPECT_EQ(space.access(VirtAddr(0x7fff'ff00'0000 - (8 << 20) - kPageSize), true), Access::segv_maperr);
}

TEST_F(Twin, OpaqueFilesAreMappedAndCopied) {
  MmapArguments file = at(kBase, 4);
  file.flags = kMapPrivate | kMapFixed;
  file.file = 7;
  (void)space.mmap(file);
  space.access(VirtAddr(kBase), false);
  space.access(VirtAddr(kBase), true);
  const TagStatistics& counted = space.statistics().of(VmaTag::other);
  EXPECT_EQ(counted.faults[static_cast<std::size_t>(FaultPath::file_map)], 1u);
  EXPECT_EQ(counted.faults[static_cast<std::size_t>(FaultPath::cow_copy)], 1u);
  EXPECT_EQ(counted.resident_pages, 1u);
  EXPECT_EQ(counted.resident_file_pages, 0u);
}

}  // namespace
}  // namespace faultline::mm
