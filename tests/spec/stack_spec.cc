// What Linux promises about Mappings that grow down: MAP_GROWSDOWN, the guard gap, RLIMIT_STACK, checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Stack : public MemorySpec {};

constexpr std::uint32_t kStack = 0x132;

TEST_P(Stack, GrowsToTheTouchedPage) {
  process->mmap(W + 1000 * kPage, 2 * kPage, 3, kStack);
  const Answer met = process->touch(W + 990 * kPage, kPage, true);
  EXPECT_EQ(met.refused, 0u);
  EXPECT_EQ(met.minor_faults, 1u) << "only the page that was touched";
  EXPECT_EQ(maps(), (std::vector{mapping(990, 12)}));
  EXPECT_EQ(process->touch(W + 980 * kPage, kPage, false).refused, 0u) << "a read grows it as well";
}

TEST_P(Stack, KeepsTheGuardGap) {
  process->mmap(W + 1000 * kPage, 2 * kPage, 3, kStack);
  process->mmap(W + 700 * kPage, kPage);
  EXPECT_EQ(process->touch(W + 957 * kPage, kPage, true).refused, 0u) << "256 pages above the neighbour's end";
  EXPECT_EQ(process->touch(W + 956 * kPage, kPage, true).refused, 1u);
  process->mprotect(W + 700 * kPage, kPage, 0);
  EXPECT_EQ(process->touch(W + 800 * kPage, kPage, true).refused, 0u) << "what cannot be accessed needs no distance";
}

TEST_P(Stack, NewMappingsKeepTheGapToo) {
  process->mmap(W + 1000 * kPage, 2 * kPage, 3, kStack);
  EXPECT_EQ(process->mmap(W + 900 * kPage, kPage, 3, kHint).value, kElsewhere) << "a hint within the gap is not taken";
  EXPECT_EQ(process->mmap(W + 900 * kPage, kPage).error, 0) << "MAP_FIXED may";
}

TEST_P(Stack, HoldsToItsLimit) {
  process->mmap(W + 1000 * kPage, 2 * kPage, 3, kStack);
  process->limit(3, 16 * kPage);
  EXPECT_EQ(process->touch(W + 986 * kPage, kPage, true).refused, 0u);
  EXPECT_EQ(process->touch(W + 985 * kPage, kPage, true).refused, 1u);
  EXPECT_EQ(maps(), (std::vector{mapping(986, 16)}));
}

TEST_P(Stack, GrowsAndThenRefusesTheAccess) {
  process->mmap(W + 1000 * kPage, 2 * kPage, 1, kStack);
  const Answer met = process->touch(W + 998 * kPage, kPage, true);
  EXPECT_EQ(met.no_access, 1u);
  EXPECT_EQ(maps(), (std::vector{mapping(998, 4, 1)}));
}

TEST_P(Stack, OtherMappingsDoNotGrow) {
  process->mmap(W + 1000 * kPage, 2 * kPage);
  const Answer met = process->touch(W + 999 * kPage, kPage, true);
  EXPECT_EQ(met.refused, 1u);
  EXPECT_EQ(met.no_access, 0u);
}

TEST_P(Stack, ARefusedGrowthDecidesLaterMerges) {
  process->mmap(W + 1000 * kPage, 2 * kPage, 3, kStack);
  process->mmap(W + 1004 * kPage, 2 * kPage, 3, kStack);
  process->limit(3, 2 * kPage);
  EXPECT_EQ(process->touch(W + 999 * kPage, kPage, true).refused, 1u);
  process->write(W + 1004 * kPage, kPage);
  process->mmap(W + 1002 * kPage, 2 * kPage, 3, kStack);
  EXPECT_EQ(maps().size(), 2u) << "both ends have an anon_vma of their own although one was never faulted in";
}

FL_INSTANTIATE_SPEC(Stack);

}  // namespace
}  // namespace faultline::spec
