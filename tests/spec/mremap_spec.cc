// What Linux promises about mremap(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Mremap : public MemorySpec {};

TEST_P(Mremap, GrowingWithMremapKeepsTheOldPart) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  EXPECT_EQ(process->mremap(W, kBig, 2 * kBig, 0).value, static_cast<std::int64_t>(W));
  EXPECT_EQ(process->write(W, kBig), 0u);
  EXPECT_EQ(process->write(W + kBig, kBig), 16384u);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2 * 16384)}));
}

TEST_P(Mremap, MovingWithMremapCarriesThePages) {
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

TEST_P(Mremap, MremapThatMayNotMoveNeedsRoomBehind) {
  process->mmap(W, 4 * kPage);
  process->mmap(W + 4 * kPage, kPage, 1);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 8 * kPage, 0).error, 12);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 8 * kPage, kMayMove).value, kElsewhere);
  EXPECT_EQ(maps(), (std::vector{mapping(4, 1, 1)}));
}

TEST_P(Mremap, MremapShrinksInPlaceAndSplitsInTheMiddle) {
  process->mmap(W, 10 * kPage);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 2 * kPage, 0).value, static_cast<std::int64_t>(W));
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2), mapping(4, 6)}));
}

TEST_P(Mremap, MremapRefusals) {
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

TEST_P(Mremap, OverSeveralMappingsAtOnce) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 2 * kPage, 2 * kPage, 1);
  process->mmap(W + 6 * kPage, 2 * kPage);
  process->write(W, 2 * kPage);
  process->write(W + 6 * kPage, 2 * kPage);
  const Answer moved = process->mremap(W, 8 * kPage, 8 * kPage, kMoveFixed, W + 100 * kPage);
  EXPECT_EQ(moved.value, static_cast<std::int64_t>(W + 100 * kPage)) << "since 6.17; the hole moves too";
  EXPECT_EQ(maps(), (std::vector{mapping(100, 2), mapping(102, 2, 1), mapping(106, 2)}));
  EXPECT_EQ(frames(W + 100 * kPage, 8 * kPage), 4u);
  EXPECT_EQ(process->mremap(W + 100 * kPage, 8 * kPage, 9 * kPage, kMoveFixed, W).error, 14) << "only where nothing grows";
}

TEST_P(Mremap, AHoleAtTheStartIsRefused) {
  process->mmap(W + 2 * kPage, 2 * kPage);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 4 * kPage, kMoveFixed, W + 100 * kPage).error, 14);
}

TEST_P(Mremap, ShrinkingMayReachPastTheMapping) {
  process->mmap(W, 4 * kPage);
  EXPECT_EQ(process->mremap(W, 16 * kPage, 2 * kPage, kMoveFixed, W + 100 * kPage).value, static_cast<std::int64_t>(W + 100 * kPage));
  EXPECT_EQ(maps(), (std::vector{mapping(100, 2)})) << "what it drops need not be there";
}

TEST_P(Mremap, DontUnmapLeavesAnEmptyMapping) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 4 * kPage, 7, W + 100 * kPage).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 4), mapping(100, 4)}));
  EXPECT_EQ(frames(W, 4 * kPage), 0u);
  EXPECT_EQ(frames(W + 100 * kPage, 4 * kPage), 4u);
  EXPECT_EQ(process->write(W, 4 * kPage), 4u);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 2 * kPage, 5).error, 22) << "it cannot change the length";
  EXPECT_EQ(process->mremap(W, 8 * kPage, 8 * kPage, 5).error, 14) << "nor reach past the mapping";
}

TEST_P(Mremap, ForLargeMappingsIsAlignedToHugePages) {
  process->mmap(W, 4 * kPage);
  process->mmap(W + 4 * kPage, kPage, 1);
  const Answer moved = process->run({Op::mremap_keep, W, 4 * kPage, 1024 * kPage, kMayMove});
  ASSERT_EQ(moved.error, 0);
  EXPECT_EQ(static_cast<std::uint64_t>(moved.value) % (2 << 20), 0u) << "whatever the offset within the old mapping";
  process->munmap(static_cast<std::uint64_t>(moved.value), 1024 * kPage);
}

TEST_P(Mremap, LockedMemoryGrowsPopulated) {
  process->mmap(W, 2 * kPage);
  process->mlock(W, 2 * kPage);
  EXPECT_EQ(process->mremap(W, 2 * kPage, 6 * kPage, 0).minor_faults, 4u);
  EXPECT_EQ(frames(W, 6 * kPage), 6u);
}

FL_INSTANTIATE_SPEC(Mremap);

}  // namespace
}  // namespace faultline::spec
