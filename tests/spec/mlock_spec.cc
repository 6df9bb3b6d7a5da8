// What Linux promises about mlock(2), mlock2, munlock, mlockall, munlockall, checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Mlock : public MemorySpec {};

TEST_P(Mlock, PopulatesAndSplits) {
  process->mmap(W, 8 * kPage);
  EXPECT_EQ(process->mlock(W + 2 * kPage + 5, 2 * kPage).minor_faults, 3u) << "rounded outwards to pages";
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2), mapping(2, 3), mapping(5, 3)}));
  EXPECT_EQ(process->munlock(W, 8 * kPage).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 8)}));
  EXPECT_EQ(frames(W, 8 * kPage), 3u);
}

TEST_P(Mlock, OnFaultPopulatesNothing) {
  process->mmap(W, 8 * kPage);
  EXPECT_EQ(process->mlock(W, 8 * kPage, 1).minor_faults, 0u);
  EXPECT_EQ(process->write(W, 2 * kPage), 2u);
  EXPECT_EQ(process->mlock(W, 8 * kPage).minor_faults, 6u);
}

TEST_P(Mlock, Refusals) {
  process->mmap(W, 4 * kPage);
  process->mmap(W + 8 * kPage, 4 * kPage, 0);
  EXPECT_EQ(process->mlock(W, 4 * kPage, 2).error, 22);
  EXPECT_EQ(process->mlock(W, 6 * kPage).error, 12) << "a hole";
  EXPECT_EQ(process->mincore(W, 4 * kPage).value, 0) << "nothing is populated then";
  EXPECT_EQ(process->mlock(W + 8 * kPage, 4 * kPage).error, 12) << "PROT_NONE cannot be populated";
  EXPECT_EQ(process->munlock(W + 6 * kPage, kPage).error, 12);
  EXPECT_EQ(process->mlock(W + 6 * kPage, 0).error, 0) << "nothing is locked wherever it is";
  EXPECT_EQ(process->mlockall(0).error, 22);
  EXPECT_EQ(process->mlockall(4).error, 22) << "ONFAULT alone";
  EXPECT_EQ(process->mlockall(8).error, 22);
}

TEST_P(Mlock, TheLimitCountsPagesOnce) {
  process->mmap(W, 16 * kPage);
  process->limit(8, 8 * kPage);
  EXPECT_EQ(process->mlock(W, 9 * kPage).error, 12);
  EXPECT_EQ(process->mlock(W, 6 * kPage).error, 0);
  EXPECT_EQ(process->mlock(W, 8 * kPage).error, 0) << "six of them are counted already";
  EXPECT_EQ(process->mlock(W + 8 * kPage, kPage).error, 12);
  EXPECT_EQ(process->mremap(W, 8 * kPage, 9 * kPage, kMayMove).error, 11);
  EXPECT_EQ(process->mmap(W + 32 * kPage, kPage, 3, 0x2032).error, 11) << "MAP_LOCKED";
  process->limit(8, 0);
  EXPECT_EQ(process->mlock(W, kPage).error, 1) << "a limit of 0 forbids the call";
  EXPECT_EQ(process->mmap(W + 32 * kPage, kPage, 3, 0x2032).error, 1);
  EXPECT_EQ(process->munlock(W, 16 * kPage).error, 0);
}

TEST_P(Mlock, FutureMappingsAreLockedAndPopulated) {
  EXPECT_EQ(process->mlockall(2).error, 0);
  EXPECT_EQ(process->mmap(W, 4 * kPage).minor_faults, 4u);
  EXPECT_EQ(process->madvise(W, kPage, kDontNeed).error, 22);
  EXPECT_EQ(process->mlockall(2 | 4).error, 0);
  EXPECT_EQ(process->mmap(W + 8 * kPage, 4 * kPage).minor_faults, 0u);
  process->munlockall();
  EXPECT_EQ(process->mmap(W + 16 * kPage, 4 * kPage).minor_faults, 0u);
  EXPECT_EQ(process->madvise(W, kPage, kDontNeed).error, 0);
}

TEST_P(Mlock, LockedMemoryThatBecomesWritableIsCopiedAtOnce) {
  process->mmap(W, 4 * kPage, 1);
  process->mlock(W, 4 * kPage);
  EXPECT_EQ(process->mprotect(W, 4 * kPage, 3).minor_faults, 4u);
  EXPECT_EQ(process->write(W, 4 * kPage), 0u);
}

FL_INSTANTIATE_SPEC(Mlock);

}  // namespace
}  // namespace faultline::spec
