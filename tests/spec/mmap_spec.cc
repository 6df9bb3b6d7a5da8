// What Linux promises about mmap(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Mmap : public MemorySpec {};

TEST_P(Mmap, PopulateFaultsInsideTheCall) {
  EXPECT_EQ(process->mmap(W, kBig, 3, kPopulate).minor_faults, 16384u);
  EXPECT_EQ(process->write(W, kBig), 0u);
  process->mmap(W, 8 * kPage, 1, kPopulate);
  EXPECT_EQ(frames(W, 8 * kPage), 0u) << "a read-only mapping is populated with the zero page";
  process->mmap(W, 8 * kPage);
  EXPECT_EQ(process->madvise(W, 4 * kPage, kPopulateRead).minor_faults, 4u);
  EXPECT_EQ(process->madvise(W, 8 * kPage, kPopulateWrite).minor_faults, 8u);
  EXPECT_EQ(process->madvise(W + 4 * kPage, 8 * kPage, kPopulateWrite).minor_faults, 0u);
}

TEST_P(Mmap, NeighboursWithEqualRightsBecomeOneMapping) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  process->write(W, kPage);
  process->write(W + 4 * kPage, kPage);
  process->mmap(W + 2 * kPage, 2 * kPage);
  // Both neighbours were faulted apart from each other: the new range joins the left one only.
  EXPECT_EQ(maps(), (std::vector{mapping(0, 4), mapping(4, 2)}));
}

TEST_P(Mmap, UntouchedNeighboursMergeOnBothSides) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  process->mmap(W + 2 * kPage, 2 * kPage);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 6)}));
  process->mmap(W + 6 * kPage, kPage, 3, kNoReserve);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 6), mapping(6, 1)})) << "reserved and unreserved memory stay apart";
}

TEST_P(Mmap, FixedMappingsReplaceWhatIsThere) {
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

TEST_P(Mmap, AFreeHintIsTakenAndAnOccupiedOneIsNot) {
  EXPECT_EQ(process->mmap(W + 0x123, kPage, 3, kHint).value, static_cast<std::int64_t>(W));
  EXPECT_EQ(process->mmap(W, kPage, 3, kHint).value, kElsewhere);
}

TEST_P(Mmap, Refusals) {
  EXPECT_EQ(process->mmap(W, 0).error, 22);
  EXPECT_EQ(process->mmap(W, kPage, 3, 0x30).error, 22) << "neither private nor shared";
  EXPECT_EQ(process->mmap(W, kPage, 3, 0x33).error, 22) << "MAP_SHARED_VALIDATE needs a file";
  EXPECT_EQ(process->mmap(W + 1, kPage).error, 22);
  EXPECT_EQ(process->mmap(W, ~std::uint64_t{0}).error, 12) << "the length rounds to nothing";
  EXPECT_EQ(process->mmap(W, std::uint64_t{1} << 47).error, 12);
  EXPECT_EQ(process->mmap(0x7fff'ffff'f000, kPage).error, 12) << "the last page below the kernel's half";
  EXPECT_EQ(process->mmap(0, kPage).error, 1) << "below mmap_min_addr, without CAP_SYS_RAWIO";
  EXPECT_EQ(process->mmap(W, kPage, 3, 0x131).error, 22) << "shared memory does not grow";
}

TEST_P(Mmap, RefusedNoReplaceLeavesWhatIsThere) {
  process->mmap(W + 4 * kPage, 4 * kPage);
  process->write(W + 4 * kPage, 4 * kPage);
  EXPECT_EQ(process->mmap(W, 5 * kPage, 3, kNoReplace).error, 17);
  EXPECT_EQ(process->mmap(W, 16 * kPage, 3, kNoReplace).error, 17);
  EXPECT_EQ(frames(W, 16 * kPage), 4u);
}

TEST_P(Mmap, MergesAcrossThreeMappings) {
  process->mmap(W, 9 * kPage);
  process->write(W, 9 * kPage);
  process->mprotect(W + 3 * kPage, 3 * kPage, 1);
  EXPECT_EQ(maps().size(), 3u);
  process->mprotect(W + 3 * kPage, 3 * kPage, 3);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 9)}));
  process->munmap(W + 3 * kPage, 3 * kPage);
  process->mmap(W + 3 * kPage, 3 * kPage);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 9)})) << "the halves still share their anon_vma";
}

TEST_P(Mmap, PopulatedReadOnlyMemoryIsTheZeroPage) {
  EXPECT_EQ(process->mmap(W, 8 * kPage, 1, kPopulate).minor_faults, 8u);
  EXPECT_EQ(frames(W, 8 * kPage), 0u);
  EXPECT_EQ(process->mmap(W + 8 * kPage, 8 * kPage, 0, kPopulate).minor_faults, 0u) << "PROT_NONE is left alone";
  EXPECT_EQ(process->mmap(W + 16 * kPage, 8 * kPage, 3, kPopulate | 0x10000).minor_faults, 0u) << "MAP_NONBLOCK";
}

TEST_P(Mmap, ReservedRangesAreOpenedPieceByPiece) {
  process->mmap(W, 64 * kPage, 0, kNoReserve);
  process->mprotect(W, 4 * kPage, 3);
  process->write(W, 4 * kPage);
  process->mprotect(W + 4 * kPage, 4 * kPage, 3);
  EXPECT_EQ(process->write(W + 4 * kPage, 4 * kPage), 4u);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 8), mapping(8, 56, 0)}));
}

TEST_P(Mmap, StackMemoryStaysApart) {
  process->mmap(W, 4 * kPage);
  process->mmap(W + 4 * kPage, 4 * kPage, 3, 0x20032);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 4), mapping(4, 4)})) << "MAP_STACK wishes no huge pages, a flag of its own";
}

TEST_P(Mmap, DroppableMemoryIsNeverLocked) {
  EXPECT_EQ(process->mmap(W, 4 * kPage, 3, 0x38).error, 0);
  EXPECT_EQ(process->mmap(W + 8 * kPage, 4 * kPage, 3, 0x2038).error, 22) << "MAP_LOCKED";
  process->write(W, 4 * kPage);
  EXPECT_EQ(process->mlock(W, 4 * kPage).error, 0);
  EXPECT_EQ(process->madvise(W, 4 * kPage, kPageOut).error, 0) << "and locked memory would refuse";
  EXPECT_EQ(frames(W, 4 * kPage), 0u) << "written or not, its pages may go";
  EXPECT_EQ(process->madvise(W, 4 * kPage, 19).error, 22) << "KEEPONFORK";
  EXPECT_EQ(process->madvise(W, 4 * kPage, 17).error, 22) << "DODUMP";
}

FL_INSTANTIATE_SPEC(Mmap);

}  // namespace
}  // namespace faultline::spec
