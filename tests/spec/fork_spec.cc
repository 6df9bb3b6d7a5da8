// What Linux promises about memory and fork, checked on the real kernel and on the twin alike.
#include "spec_test.h"

namespace faultline::spec {
namespace {

constexpr std::uint64_t W = kWindow;
constexpr std::uint64_t kBig = 16384 * kPage;  // the 64 MiB of the oracle vectors
constexpr int kDontNeed = 4, kDontFork = 10, kDoFork = 11, kWipeOnFork = 18, kKeepOnFork = 19;
constexpr std::uint32_t kShared = 0x31;

class Fork : public SpecTest {};

TEST_P(Fork, TheChildWritesCopiesAndTheParentThenReuses) {
  process->mmap(W, kBig);
  process->write(W, kBig);
  auto child = process->fork();
  EXPECT_EQ(pages_in(*process, W, kBig, 1), 16384u) << "shared with the child";
  EXPECT_EQ(child->read(W, kBig), 0u) << "the entries were copied";
  EXPECT_EQ(child->write(W, kBig), 16384u);
  EXPECT_EQ(pages_in(*process, W, kBig, 2), 16384u);
  EXPECT_EQ(pages_in(*child, W, kBig, 2), 16384u);
  child.reset();
  EXPECT_EQ(process->write(W, kBig), 16384u) << "a fault to find out that nobody else has the page";
  EXPECT_EQ(process->write(W, kBig), 0u);
}

TEST_P(Fork, TheParentWritesFirst) {
  process->mmap(W, 8 * kPage);
  process->write(W, 8 * kPage);
  auto child = process->fork();
  EXPECT_EQ(process->write(W, 4 * kPage), 4u);
  EXPECT_EQ(process->pages(W, 8 * kPage), (std::vector<std::uint8_t>{2, 2, 2, 2, 1, 1, 1, 1}));
  EXPECT_EQ(child->pages(W, 8 * kPage), (std::vector<std::uint8_t>{2, 2, 2, 2, 1, 1, 1, 1}));
  EXPECT_EQ(child->write(W, 8 * kPage), 8u) << "four reused, four copied: a fault each";
  EXPECT_EQ(process->write(W, 8 * kPage), 4u);
}

TEST_P(Fork, GrandchildrenShareThePageUntilTheLastButOneIsGone) {
  process->mmap(W, kPage);
  process->write(W, kPage);
  auto child = process->fork();
  auto grandchild = child->fork();
  EXPECT_EQ(child->write(W, kPage), 1u);
  EXPECT_EQ(process->pages(W, kPage).front(), 1);
  EXPECT_EQ(grandchild->pages(W, kPage).front(), 1);
  child.reset();
  EXPECT_EQ(process->pages(W, kPage).front(), 1);
  grandchild.reset();
  EXPECT_EQ(process->pages(W, kPage).front(), 2);
}

TEST_P(Fork, WhatOnlyHoldsTheZeroPageIsLeftToTheChildsFaults) {
  process->mmap(W, 4 * kPage);
  process->read(W, 4 * kPage);
  auto child = process->fork();
  EXPECT_EQ(pages_in(*child, W, 4 * kPage, 0), 4u);
  EXPECT_EQ(child->read(W, 4 * kPage), 4u);
  process->write(W, kPage);
  auto second = process->fork();
  EXPECT_EQ(pages_in(*second, W, 4 * kPage, 1), 4u) << "with one page of its own all entries are copied";
  EXPECT_EQ(second->write(W, 4 * kPage), 4u);
}

TEST_P(Fork, DontForkAndWipeOnFork) {
  process->mmap(W, 12 * kPage);
  process->write(W, 12 * kPage);
  EXPECT_EQ(process->madvise(W, 4 * kPage, kDontFork).error, 0);
  EXPECT_EQ(process->madvise(W + 4 * kPage, 4 * kPage, kWipeOnFork).error, 0);
  auto child = process->fork();
  EXPECT_EQ(child->mappings(), (std::vector{mapping(4, 4), mapping(8, 4)}));
  EXPECT_EQ(child->pages(W, 12 * kPage), (std::vector<std::uint8_t>{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1}));
  EXPECT_EQ(child->touch(W, kPage, false).refused, 1u);
  EXPECT_EQ(process->write(W, 8 * kPage), 0u) << "what the child did not get stays the parent's own";
  EXPECT_EQ(process->madvise(W, 4 * kPage, kDoFork).error, 0);
  EXPECT_EQ(process->madvise(W + 4 * kPage, 4 * kPage, kKeepOnFork).error, 0);
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 12)}));
  process->mmap(W + 20 * kPage, kPage, 3, kShared | 0x10);
  EXPECT_EQ(process->madvise(W + 20 * kPage, kPage, kWipeOnFork).error, 22) << "only private anonymous memory";
}

TEST_P(Fork, ProtectionChangesDoNotBreakTheSharing) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  auto child = process->fork();
  process->mprotect(W, 4 * kPage, 1);
  process->mprotect(W, 4 * kPage, 3);
  EXPECT_EQ(process->write(W, 4 * kPage), 4u) << "still the child's too: copied at the write";
  child->mprotect(W, 4 * kPage, 0);
  child->mprotect(W, 4 * kPage, 3);
  EXPECT_EQ(child->write(W, 4 * kPage), 4u) << "alone, but only the write finds that out";
}

TEST_P(Fork, MovedPagesStayShared) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  auto child = process->fork();
  EXPECT_EQ(child->mremap(W, 4 * kPage, 4 * kPage, 3, W + 50 * kPage).error, 0);
  EXPECT_EQ(pages_in(*child, W + 50 * kPage, 4 * kPage, 1), 4u);
  EXPECT_EQ(process->madvise(W, 2 * kPage, kDontNeed).error, 0);
  EXPECT_EQ(child->pages(W + 50 * kPage, 4 * kPage), (std::vector<std::uint8_t>{2, 2, 1, 1}));
  EXPECT_EQ(child->write(W + 50 * kPage, 4 * kPage), 4u);
}

TEST_P(Fork, TheChildsMappingsJoinNoNewNeighbours) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  auto child = process->fork();
  child->mmap(W + 4 * kPage, 4 * kPage);
  EXPECT_EQ(child->mappings(), (std::vector{mapping(0, 4), mapping(4, 4)})) << "an inherited anon_vma is not handed on";
  process->mmap(W + 4 * kPage, 4 * kPage);
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 8)}));
}

TEST_P(Fork, APartSplitBeforeForkNeverMergesBackInTheChild) {
  process->mmap(W, 4 * kPage);
  process->write(W, 4 * kPage);
  process->mprotect(W + 2 * kPage, 2 * kPage, 1);
  auto child = process->fork();
  child->mprotect(W + 2 * kPage, 2 * kPage, 3);
  EXPECT_EQ(child->mappings(), (std::vector{mapping(0, 2), mapping(2, 2)})) << "each part got an anon_vma of its own";
  process->mprotect(W + 2 * kPage, 2 * kPage, 3);
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 4)}));
}

TEST_P(Fork, TheBreakIsInherited) {
  process->brk(0x5000);
  auto child = process->fork();
  EXPECT_EQ(child->brk(0x7000).value, 0x7000);
  EXPECT_EQ(child->heap(), (std::vector<Mapping>{{0, 0x7000, 3}}));
  EXPECT_EQ(process->heap(), (std::vector<Mapping>{{0, 0x5000, 3}}));
}

FL_INSTANTIATE_SPEC(Fork);

}  // namespace
}  // namespace faultline::spec
