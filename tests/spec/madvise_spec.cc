// What Linux promises about madvise(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Madvise : public MemorySpec {};

TEST_P(Madvise, DontNeedGivesFramesBackAtOnce) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  EXPECT_EQ(process->madvise(W, kBig, kDontNeed).error, 0);
  EXPECT_EQ(frames(W, kBig), 0u);
  EXPECT_EQ(process->write(W, kBig), 16384u);
}

TEST_P(Madvise, FreedPagesStayUntilMemoryIsShort) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  EXPECT_EQ(process->madvise(W, kBig, kFree).error, 0);
  EXPECT_EQ(process->write(W, kBig), 0u);
}

TEST_P(Madvise, AdviceOnAHoleIsDoneAndAnswersENOMEM) {
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

TEST_P(Madvise, FreedPagesGoWhenAskedForUnlessWritten) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  process->madvise(W, 4 * kPage, kFree);
  process->write(W, kPage);
  process->read(W + kPage, kPage);
  EXPECT_EQ(process->madvise(W, 4 * kPage, kPageOut).error, 0);
  EXPECT_EQ(process->pages(W, 4 * kPage), (std::vector<std::uint8_t>{2, 0, 0, 0})) << "a read does not save a page";
  process->write(W, 4 * kPage);
  EXPECT_EQ(process->madvise(W, 4 * kPage, kPageOut).error, 0);
  EXPECT_EQ(frames(W, 4 * kPage), 4u) << "without swap nothing else can go";
}

TEST_P(Madvise, GuardsAnswerWithSIGSEGV) {
  process->mmap(W, 8 * kPage);
  process->write(W, 8 * kPage);
  EXPECT_EQ(process->madvise(W + 2 * kPage, 2 * kPage, kGuardInstall).error, 0);
  const Answer met = process->touch(W, 8 * kPage, true);
  EXPECT_EQ(met.refused, 2u);
  EXPECT_EQ(met.no_access, 0u) << "as if nothing were mapped";
  EXPECT_EQ(maps(), (std::vector{mapping(0, 8)})) << "and yet one mapping";
  process->madvise(W, 8 * kPage, kDontNeed);
  EXPECT_EQ(process->touch(W, 8 * kPage, true).refused, 2u) << "other advice leaves them";
  process->mprotect(W, 8 * kPage, 1);
  process->mprotect(W, 8 * kPage, 3);
  EXPECT_EQ(process->touch(W + 2 * kPage, 2 * kPage, false).refused, 2u);
  EXPECT_EQ(process->madvise(W, 8 * kPage, kPopulateWrite).error, 14);
  EXPECT_EQ(process->mlock(W, 8 * kPage).error, 12);
  EXPECT_EQ(process->mincore(W, 8 * kPage).value, 0b11110011);
  process->munlock(W, 8 * kPage);
  EXPECT_EQ(process->mremap(W, 8 * kPage, 8 * kPage, kMoveFixed, W + 50 * kPage).error, 0);
  EXPECT_EQ(process->touch(W + 50 * kPage, 8 * kPage, true).refused, 2u) << "they move along";
  process->madvise(W + 50 * kPage, 8 * kPage, kGuardRemove);
  EXPECT_EQ(process->touch(W + 50 * kPage, 8 * kPage, true).minor_faults, 2u);
}

TEST_P(Madvise, LockedMemoryRefusesToGo) {
  process->mmap(W, 4 * kPage);
  process->mlock(W, 4 * kPage);
  for (const int advice : {kDontNeed, kFree, kCold, kPageOut, kGuardInstall}) {
    EXPECT_EQ(process->madvise(W, 4 * kPage, advice).error, 22) << advice;
  }
  EXPECT_EQ(frames(W, 4 * kPage), 4u);
  EXPECT_EQ(process->madvise(W, 4 * kPage, 24).error, 0) << "DONTNEED_LOCKED";
  EXPECT_EQ(frames(W, 4 * kPage), 0u);
}

TEST_P(Madvise, FlagsSplitAndMerge) {
  process->mmap(W, 8 * kPage);
  for (const auto& [set, clear] : {std::pair{10, 11}, {18, 19}, {16, 17}, {12, 13}, {2, 0}, {1, 0}}) {
    EXPECT_EQ(process->madvise(W + 2 * kPage, 4 * kPage, set).error, 0);
    EXPECT_EQ(maps(), (std::vector{mapping(0, 2), mapping(2, 4), mapping(6, 2)})) << set;
    EXPECT_EQ(process->madvise(W, 8 * kPage, clear).error, 0);
    EXPECT_EQ(maps(), (std::vector{mapping(0, 8)})) << clear;
  }
}

TEST_P(Madvise, Refusals) {
  process->mmap(W, 4 * kPage);
  EXPECT_EQ(process->madvise(W, 4 * kPage, 9).error, 22) << "REMOVE is for shared memory";
  EXPECT_EQ(process->madvise(W, 4 * kPage, 25).error, 22) << "COLLAPSE finds no room for a huge page";
  EXPECT_EQ(process->madvise(W, 4 * kPage, 5).error, 22);
  EXPECT_EQ(process->madvise(W, ~std::uint64_t{0}, kDontNeed).error, 22);
  EXPECT_EQ(process->madvise(W + 100 * kPage, kPage, kDontNeed).error, 12);
  EXPECT_EQ(process->madvise(W, 8 * kPage, kPopulateWrite).error, 12) << "populates, then meets the hole";
  EXPECT_EQ(frames(W, 4 * kPage), 4u);
  process->mprotect(W, 2 * kPage, 1);
  EXPECT_EQ(process->madvise(W, 2 * kPage, kPopulateWrite).error, 22);
  process->mprotect(W, 2 * kPage, 0);
  EXPECT_EQ(process->madvise(W, 2 * kPage, kPopulateRead).error, 22);
}

FL_INSTANTIATE_SPEC(Madvise);

}  // namespace
}  // namespace faultline::spec
