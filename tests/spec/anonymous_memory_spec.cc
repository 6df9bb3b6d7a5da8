// What Linux promises about anonymous memory, checked on the real kernel and on the twin alike.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>

#include "kernel_process.h"
#include "twin_process.h"

namespace faultline::spec {
namespace {

constexpr std::uint64_t W = kWindow;
constexpr std::uint64_t kBig = 16384 * kPage;  // the 64 MiB of the oracle vectors
constexpr int kDontNeed = 4, kFree = 8, kHugePage = 14, kPopulateRead = 22, kPopulateWrite = 23;
constexpr std::uint32_t kFixed = 0x32, kHint = 0x22, kNoReplace = 0x100022, kPopulate = 0x8032, kNoReserve = 0x4032;
constexpr std::uint32_t kMayMove = 1, kMoveFixed = 3;

class AnonymousMemory : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (std::string(GetParam()) == "kernel") {
      process = std::make_unique<KernelProcess>();
    } else {
      process = std::make_unique<TwinProcess>();
    }
  }
  void TearDown() override {
    if (auto* twin = dynamic_cast<TwinProcess*>(process.get())) twin->space().check_invariants();
  }
  std::size_t frames(std::uint64_t address, std::uint64_t bytes) {
    const auto found = process->pages(address, bytes);
    return static_cast<std::size_t>(std::count(found.begin(), found.end(), 2));
  }
  std::vector<Mapping> maps() { return process->mappings(); }
  static Mapping mapping(std::uint64_t first_page, std::uint64_t pages, std::uint32_t prot = 3) {
    return {W + first_page * kPage, W + (first_page + pages) * kPage, prot};
  }
  std::unique_ptr<Process> process;
};

TEST_P(AnonymousMemory, FirstWriteTakesOneFaultAndOneFramePerPage) {
  ASSERT_EQ(process->mmap(W, kBig).error, 0);
  EXPECT_EQ(frames(W, kBig), 0u);
  EXPECT_EQ(process->write(W, kBig), 16384u);
  EXPECT_EQ(process->write(W, kBig), 0u);
  EXPECT_EQ(process->read(W, kBig), 0u);
  EXPECT_EQ(frames(W, kBig), 16384u);
}

TEST_P(AnonymousMemory, ReadMapsTheZeroPageAndTheWriteAfterItFaultsAgain) {
  process->mmap(W, kBig);
  EXPECT_EQ(process->read(W, kBig), 16384u);
  EXPECT_EQ(frames(W, kBig), 0u);
  EXPECT_EQ(process->read(W, kBig), 0u);
  EXPECT_EQ(process->write(W, kBig), 16384u);
  EXPECT_EQ(frames(W, kBig), 16384u);
}

TEST_P(AnonymousMemory, DontNeedGivesFramesBackAtOnce) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  EXPECT_EQ(process->madvise(W, kBig, kDontNeed).error, 0);
  EXPECT_EQ(frames(W, kBig), 0u);
  EXPECT_EQ(process->write(W, kBig), 16384u);
}

TEST_P(AnonymousMemory, FreedPagesStayUntilMemoryIsShort) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  EXPECT_EQ(process->madvise(W, kBig, kFree).error, 0);
  EXPECT_EQ(process->write(W, kBig), 0u);
}

TEST_P(AnonymousMemory, PopulateFaultsInsideTheCall) {
  EXPECT_EQ(process->mmap(W, kBig, 3, kPopulate).minor_faults, 16384u);
  EXPECT_EQ(process->write(W, kBig), 0u);
  process->mmap(W, 8 * kPage, 1, kPopulate);
  EXPECT_EQ(frames(W, 8 * kPage), 0u) << "a read-only mapping is populated with the zero page";
  process->mmap(W, 8 * kPage);
  EXPECT_EQ(process->madvise(W, 4 * kPage, kPopulateRead).minor_faults, 4u);
  EXPECT_EQ(process->madvise(W, 8 * kPage, kPopulateWrite).minor_faults, 8u);
  EXPECT_EQ(process->madvise(W + 4 * kPage, 8 * kPage, kPopulateWrite).minor_faults, 0u);
}

TEST_P(AnonymousMemory, GrowingWithMremapKeepsTheOldPart) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  EXPECT_EQ(process->mremap(W, kBig, 2 * kBig, 0).value, static_cast<std::int64_t>(W));
  EXPECT_EQ(process->write(W, kBig), 0u);
  EXPECT_EQ(process->write(W + kBig, kBig), 16384u);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2 * 16384)}));
}

TEST_P(AnonymousMemory, MovingWithMremapCarriesThePages) {
  process->mmap(W, 8 * kPage);
  process->write(W, 4 * kPage);
  process->read(W + 4 * kPage, kPage);
  EXPECT_EQ(process->mremap(W, 8 * kPage, 16 * kPage, kMoveFixed, W + 100 * kPage).value,
            static_cast<std::int64_t>(W + 100 * kPage));
  EXPECT_EQ(maps(), (std::vector{mapping(100, 16)}));
  EXPECT_EQ(process->write(W + 100 * kPage, 4 * kPage), 0u);
  EXPECT_EQ(process->read(W + 104 * kPage, kPage), 0u);
  EXPECT_EQ(process->write(W + 104 * kPage, 12 * kPage), 12u);
}

TEST_P(AnonymousMemory, MremapThatMayNotMoveNeedsRoomBehind) {
  process->mmap(W, 4 * kPage);
  process->mmap(W + 4 * kPage, kPage, 1);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 8 * kPage, 0).error, 12);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 8 * kPage, kMayMove).value, kElsewhere);
  EXPECT_EQ(maps(), (std::vector{mapping(4, 1, 1)}));
}

TEST_P(AnonymousMemory, MremapShrinksInPlaceAndSplitsInTheMiddle) {
  process->mmap(W, 10 * kPage);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 2 * kPage, 0).value, static_cast<std::int64_t>(W));
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2), mapping(4, 6)}));
}

TEST_P(AnonymousMemory, MremapRefusals) {
  process->mmap(W, 4 * kPage);
  EXPECT_EQ(process->mremap(W + 1, kPage, kPage, 0).error, 22);
  EXPECT_EQ(process->mremap(W, kPage, 0, 0).error, 22);
  EXPECT_EQ(process->mremap(W, kPage, kPage, 8).error, 22);
  EXPECT_EQ(process->mremap(W, kPage, kPage, 2, W + 50 * kPage).error, 22) << "FIXED without MAYMOVE";
  EXPECT_EQ(process->mremap(W, 4 * kPage, 4 * kPage, kMoveFixed, W + 2 * kPage).error, 22) << "overlap";
  EXPECT_EQ(process->mremap(W, 0, 4 * kPage, kMayMove).error, 22) << "old length 0 on private memory";
  EXPECT_EQ(process->mremap(W + 8 * kPage, kPage, 2 * kPage, kMayMove).error, 14);
  EXPECT_EQ(process->mremap(W, 8 * kPage, 9 * kPage, kMayMove).error, 14) << "across the end of the mapping";
}

TEST_P(AnonymousMemory, UnmapSplits) {
  process->mmap(W, 10 * kPage);
  process->write(W, 10 * kPage);
  EXPECT_EQ(process->munmap(W + 3 * kPage, 2 * kPage).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 3), mapping(5, 5)}));
  EXPECT_EQ(process->write(W, 3 * kPage) + process->write(W + 5 * kPage, 5 * kPage), 0u);
  EXPECT_EQ(process->touch(W + 3 * kPage, 2 * kPage, true).refused, 2u);
  EXPECT_EQ(process->munmap(W + kPage, 1).error, 0) << "a length is rounded up to pages";
  EXPECT_EQ(maps(), (std::vector{mapping(0, 1), mapping(2, 1), mapping(5, 5)}));
  EXPECT_EQ(process->munmap(W + 100 * kPage, kPage).error, 0) << "nothing there is no error";
  EXPECT_EQ(process->munmap(W, 0).error, 22);
  EXPECT_EQ(process->munmap(W + 1, kPage).error, 22);
}

TEST_P(AnonymousMemory, NeighboursWithEqualRightsBecomeOneMapping) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  process->write(W, kPage);
  process->write(W + 4 * kPage, kPage);
  process->mmap(W + 2 * kPage, 2 * kPage);
  // Both neighbours were faulted apart from each other: the new range joins the left one only.
  EXPECT_EQ(maps(), (std::vector{mapping(0, 4), mapping(4, 2)}));
}

TEST_P(AnonymousMemory, UntouchedNeighboursMergeOnBothSides) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  process->mmap(W + 2 * kPage, 2 * kPage);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 6)}));
  process->mmap(W + 6 * kPage, kPage, 3, kNoReserve);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 6), mapping(6, 1)})) << "reserved and unreserved memory stay apart";
}

TEST_P(AnonymousMemory, ProtectSplitsAndMergesBack) {
  process->mmap(W, 10 * kPage);
  process->write(W, 10 * kPage);
  EXPECT_EQ(process->mprotect(W + 2 * kPage, 3 * kPage, 1).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2), mapping(2, 3, 1), mapping(5, 5)}));
  EXPECT_EQ(process->touch(W + 2 * kPage, 3 * kPage, true).refused, 3u);
  EXPECT_EQ(process->touch(W + 2 * kPage, 3 * kPage, false).refused, 0u);
  EXPECT_EQ(process->mprotect(W + 2 * kPage, 3 * kPage, 3).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 10)}));
  EXPECT_EQ(process->write(W, 10 * kPage), 0u) << "the pages are ours: writable again at once";
}

TEST_P(AnonymousMemory, ProtectNoneKeepsThePages) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  process->mprotect(W, 4 * kPage, 0);
  EXPECT_EQ(process->touch(W, 4 * kPage, false).refused, 4u);
  EXPECT_EQ(frames(W, 4 * kPage), 4u);
  process->mprotect(W, 4 * kPage, 3);
  EXPECT_EQ(process->write(W, 4 * kPage), 0u);
}

TEST_P(AnonymousMemory, ProtectAcrossAHoleDoesThePartBeforeIt) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  EXPECT_EQ(process->mprotect(W, 6 * kPage, 1).error, 12);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2, 1), mapping(4, 2)}));
  EXPECT_EQ(process->mprotect(W + 2 * kPage, kPage, 1).error, 12);
  EXPECT_EQ(process->mprotect(W + 1, kPage, 1).error, 22);
  EXPECT_EQ(process->mprotect(W, 0, 1).error, 0);
}

TEST_P(AnonymousMemory, FixedMappingsReplaceWhatIsThere) {
  process->mmap(W, 10 * kPage);
  process->write(W, 10 * kPage);
  EXPECT_EQ(process->mmap(W + 2 * kPage, 4 * kPage, 1, kFixed).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2), mapping(2, 4, 1), mapping(6, 4)}));
  EXPECT_EQ(frames(W, 10 * kPage), 6u);
  EXPECT_EQ(process->mmap(W + 5 * kPage, 4 * kPage, 3, kNoReplace).error, 17);
  EXPECT_EQ(process->mmap(W + 20 * kPage, 4 * kPage, 3, kNoReplace).error, 0);
  EXPECT_EQ(process->mmap(W + 1, kPage, 3, kFixed).error, 22);
  EXPECT_EQ(process->mmap(W, 0, 3, kFixed).error, 22);
  EXPECT_EQ(process->mmap(W, kPage, 3, 0x30).error, 22) << "neither private nor shared";
}

TEST_P(AnonymousMemory, AFreeHintIsTakenAndAnOccupiedOneIsNot) {
  EXPECT_EQ(process->mmap(W + 0x123, kPage, 3, kHint).value, static_cast<std::int64_t>(W));
  EXPECT_EQ(process->mmap(W, kPage, 3, kHint).value, kElsewhere);
}

TEST_P(AnonymousMemory, AdviceOnAHoleIsDoneAndAnswersENOMEM) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  process->write(W, 2 * kPage);
  process->write(W + 4 * kPage, 2 * kPage);
  EXPECT_EQ(process->madvise(W, 6 * kPage, kDontNeed).error, 12);
  EXPECT_EQ(frames(W, 6 * kPage), 0u);
  EXPECT_EQ(process->madvise(W + 1, kPage, kDontNeed).error, 22);
  EXPECT_EQ(process->madvise(W, kPage, 12345).error, 22);
  EXPECT_EQ(process->madvise(W, 0, kDontNeed).error, 0);
  EXPECT_EQ(process->madvise(W, kPage, kHugePage).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 1), mapping(1, 1), mapping(4, 2)})) << "the huge-page wish splits";
}

TEST_P(AnonymousMemory, TheBreakMovesUpAndDown) {
  EXPECT_EQ(process->brk(0x21000).value, 0x21000);
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x21000, 3}}));
  EXPECT_EQ(process->brk(0x21000 + 10).value, 0x21000 + 10) << "the break itself is a byte address";
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x22000, 3}}));
  EXPECT_EQ(process->brk(0x1000).value, 0x1000);
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x1000, 3}}));
  EXPECT_EQ(process->brk(-8192).value, 0x1000) << "not below its start";
  EXPECT_EQ(process->brk(0).value, 0);
  EXPECT_TRUE(process->heap().empty());
}

INSTANTIATE_TEST_SUITE_P(Kernel, AnonymousMemory, testing::Values("kernel"));
INSTANTIATE_TEST_SUITE_P(Twin, AnonymousMemory, testing::Values("twin"));

}  // namespace
}  // namespace faultline::spec
