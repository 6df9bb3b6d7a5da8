// What Linux promises about shared anonymous memory, checked on the real kernel and on the twin alike.
#include "spec_test.h"

namespace faultline::spec {
namespace {

constexpr std::uint64_t W = kWindow;
constexpr std::uint32_t kShared = 0x31;  // MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED
constexpr int kDontNeed = 4, kRemove = 9;

class SharedMemory : public SpecTest {};

TEST_P(SharedMemory, ReadingTakesAFrameToo) {
  process->mmap(W, 8 * kPage, 3, kShared);
  EXPECT_EQ(process->read(W, 4 * kPage), 4u) << "there is no zero page for files";
  EXPECT_EQ(process->write(W, 4 * kPage), 0u) << "and no write to be noticed";
  EXPECT_EQ(process->write(W + 4 * kPage, 4 * kPage), 4u);
  EXPECT_EQ(pages_in(*process, W, 8 * kPage, 4), 8u);
}

TEST_P(SharedMemory, TheChildMapsItsParentsPages) {
  process->mmap(W, 32 * kPage, 3, kShared);
  process->write(W, 32 * kPage);
  auto child = process->fork();
  EXPECT_EQ(pages_in(*child, W, 32 * kPage, 0), 32u) << "entries of files are not copied";
  EXPECT_EQ(child->read(W, 32 * kPage), 2u) << "sixteen around each fault";
  EXPECT_EQ(child->write(W, 32 * kPage), 0u);
  EXPECT_EQ(pages_in(*process, W, 32 * kPage, 3), 32u);
  child.reset();
  EXPECT_EQ(pages_in(*process, W, 32 * kPage, 4), 32u);
}

TEST_P(SharedMemory, AWriteFaultMapsOnePage) {
  process->mmap(W, 16 * kPage, 3, kShared);
  process->write(W, 16 * kPage);
  auto child = process->fork();
  EXPECT_EQ(child->write(W, 16 * kPage), 16u);
}

TEST_P(SharedMemory, WhatEitherSideAddsBothHave) {
  process->mmap(W, 4 * kPage, 3, kShared);
  auto child = process->fork();
  child->write(W, 2 * kPage);
  EXPECT_EQ(process->read(W, 4 * kPage), 3u) << "one for the two that are there, one for each that is not";
  EXPECT_EQ(process->pages(W, 4 * kPage), (std::vector<std::uint8_t>{3, 3, 4, 4}));
}

TEST_P(SharedMemory, DontNeedForgetsTheEntriesOnly) {
  process->mmap(W, 16 * kPage, 3, kShared);
  process->write(W, 16 * kPage);
  EXPECT_EQ(process->madvise(W, 16 * kPage, kDontNeed).error, 0);
  EXPECT_EQ(pages_in(*process, W, 16 * kPage, 0), 16u);
  EXPECT_EQ(process->read(W, 16 * kPage), 1u) << "the frames stayed";
}

TEST_P(SharedMemory, RemoveFreesThePagesForAll) {
  process->mmap(W, 16 * kPage, 3, kShared);
  process->write(W, 16 * kPage);
  auto child = process->fork();
  child->read(W, 16 * kPage);
  EXPECT_EQ(process->madvise(W + 4 * kPage, 4 * kPage, kRemove).error, 0);
  EXPECT_EQ(pages_in(*process, W, 16 * kPage, 0), 4u);
  EXPECT_EQ(pages_in(*child, W, 16 * kPage, 0), 4u);
  EXPECT_EQ(child->read(W, 16 * kPage), 4u);
  process->mmap(W + 20 * kPage, kPage);
  EXPECT_EQ(process->madvise(W + 20 * kPage, kPage, kRemove).error, 22) << "private anonymous memory is no file";
}

TEST_P(SharedMemory, OldLengthZeroGivesASecondView) {
  process->mmap(W, 8 * kPage, 3, kShared);
  process->write(W, 4 * kPage);
  EXPECT_EQ(process->mremap(W, 0, 8 * kPage, 3, W + 50 * kPage).value, static_cast<std::int64_t>(W + 50 * kPage));
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 8), mapping(50, 8)}));
  EXPECT_EQ(process->read(W + 50 * kPage, 4 * kPage), 1u);
  EXPECT_EQ(pages_in(*process, W, 4 * kPage, 3), 4u) << "mapped twice by one process";
  EXPECT_EQ(process->write(W + 54 * kPage, 4 * kPage), 4u);
  EXPECT_EQ(process->read(W + 4 * kPage, 4 * kPage), 1u);
}

TEST_P(SharedMemory, BeyondItsEndIsSigbus) {
  process->mmap(W, 4 * kPage, 3, kShared);
  EXPECT_EQ(process->mremap(W, 4 * kPage, 8 * kPage, 0).error, 0) << "the mapping grows, the file does not";
  const Answer answer = process->touch(W, 8 * kPage, true);
  EXPECT_EQ(answer.refused, 4u);
  EXPECT_EQ(answer.minor_faults, 4u) << "a refused access is no fault";
}

TEST_P(SharedMemory, EachMappingIsAFileOfItsOwn) {
  process->mmap(W, 4 * kPage, 3, kShared);
  process->mmap(W + 4 * kPage, 4 * kPage, 3, kShared);
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 4), mapping(4, 4)}));
  process->mprotect(W + kPage, kPage, 1);
  process->mprotect(W + kPage, kPage, 3);
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 4), mapping(4, 4)})) << "its parts merge again";
}

TEST_P(SharedMemory, ProtectionGivesWritingBackAtOnce) {
  process->mmap(W, 4 * kPage, 3, kShared);
  process->read(W, 4 * kPage);
  process->mprotect(W, 4 * kPage, 1);
  EXPECT_EQ(process->touch(W, 4 * kPage, true).refused, 4u);
  process->mprotect(W, 4 * kPage, 3);
  EXPECT_EQ(process->write(W, 4 * kPage), 0u);
}

FL_INSTANTIATE_SPEC(SharedMemory);

}  // namespace
}  // namespace faultline::spec
