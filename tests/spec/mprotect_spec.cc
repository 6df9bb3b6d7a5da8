// What Linux promises about mprotect(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Mprotect : public MemorySpec {};

TEST_P(Mprotect, ProtectSplitsAndMergesBack) {
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

TEST_P(Mprotect, ProtectNoneKeepsThePages) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  process->mprotect(W, 4 * kPage, 0);
  EXPECT_EQ(process->touch(W, 4 * kPage, false).refused, 4u);
  EXPECT_EQ(frames(W, 4 * kPage), 4u);
  process->mprotect(W, 4 * kPage, 3);
  EXPECT_EQ(process->write(W, 4 * kPage), 0u);
}

TEST_P(Mprotect, ProtectAcrossAHoleDoesThePartBeforeIt) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  EXPECT_EQ(process->mprotect(W, 6 * kPage, 1).error, 12);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 2, 1), mapping(4, 2)}));
  EXPECT_EQ(process->mprotect(W + 2 * kPage, kPage, 1).error, 12);
  EXPECT_EQ(process->mprotect(W + 1, kPage, 1).error, 22);
  EXPECT_EQ(process->mprotect(W, 0, 1).error, 0);
}

TEST_P(Mprotect, Refusals) {
  process->mmap(W, 4 * kPage);
  EXPECT_EQ(process->mprotect(W, kPage, 16).error, 22) << "no such right";
  EXPECT_EQ(process->mprotect(W, kPage, 8 | 3).error, 0) << "PROT_SEM is taken and does nothing";
  EXPECT_EQ(process->mprotect(W, kPage, 0x0300'0003).error, 22) << "grows both ways";
  EXPECT_EQ(process->mprotect(W, kPage, 0x0100'0001).error, 22) << "PROT_GROWSDOWN on what is no stack";
  EXPECT_EQ(process->mprotect(W, kPage, 0x0200'0001).error, 22) << "nothing grows up on x86";
  EXPECT_EQ(process->mprotect(W, ~std::uint64_t{0}, 1).error, 12);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 4)}));
}

TEST_P(Mprotect, WriteAloneCanBeRead) {
  process->mmap(W, 2 * kPage, 2);
  EXPECT_EQ(process->touch(W, kPage, false).refused, 0u) << "x86 has no pages that can only be written";
  EXPECT_EQ(process->madvise(W + kPage, kPage, kPopulateRead).error, 22) << "the kernel knows the difference";
}

TEST_P(Mprotect, ReadOnlyToWritableNeedsNoFault) {
  process->mmap(W, 4 * kPage);
  process->write(W, 2 * kPage);
  process->read(W + 2 * kPage, 2 * kPage);
  process->mprotect(W, 4 * kPage, 1);
  EXPECT_EQ(process->touch(W, 4 * kPage, true).no_access, 4u);
  process->mprotect(W, 4 * kPage, 3);
  EXPECT_EQ(process->write(W, 2 * kPage), 0u) << "our own frames are writable at once (since 6.0)";
  EXPECT_EQ(process->write(W + 2 * kPage, 2 * kPage), 2u) << "the zero page is copied";
}

TEST_P(Mprotect, FromTheStartOfTheStack) {
  process->mmap(W, 8 * kPage, 3, 0x132);
  EXPECT_EQ(process->mprotect(W + 4 * kPage, kPage, 0x0100'0001).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 5, 1), mapping(5, 3)}));
}

FL_INSTANTIATE_SPEC(Mprotect);

}  // namespace
}  // namespace faultline::spec
