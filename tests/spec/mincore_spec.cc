// What Linux promises about mincore(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Mincore : public MemorySpec {};

TEST_P(Mincore, TellsWhatIsMapped) {
  process->mmap(W, 6 * kPage);
  process->write(W, kPage);
  process->read(W + 2 * kPage, kPage);
  process->write(W + 4 * kPage, kPage);
  EXPECT_EQ(process->mincore(W, 6 * kPage).value, 0b010101) << "the zero page too";
  process->mprotect(W, 6 * kPage, 0);
  EXPECT_EQ(process->mincore(W, 6 * kPage).value, 0b010101);
  EXPECT_EQ(process->mincore(W, 5 * kPage + 1).value, 0b010101) << "a length is rounded up";
}

TEST_P(Mincore, Refusals) {
  process->mmap(W, 2 * kPage);
  EXPECT_EQ(process->mincore(W + 1, kPage).error, 22);
  EXPECT_EQ(process->mincore(W, 3 * kPage).error, 12);
  EXPECT_EQ(process->mincore(W + 8 * kPage, kPage).error, 12);
  EXPECT_EQ(process->mincore(W + 8 * kPage, 0).error, 0);
  EXPECT_EQ(process->mincore(0xffff'8000'0000'0000, kPage).error, 12);
}

FL_INSTANTIATE_SPEC(Mincore);

}  // namespace
}  // namespace faultline::spec
