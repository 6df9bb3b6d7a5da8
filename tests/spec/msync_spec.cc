// What Linux promises about msync(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Msync : public MemorySpec {};

TEST_P(Msync, AnswersForHoles) {
  process->mmap(W, 2 * kPage);
  process->mmap(W + 4 * kPage, 2 * kPage);
  EXPECT_EQ(process->msync(W, 2 * kPage, 4).error, 0);
  EXPECT_EQ(process->msync(W, 6 * kPage, 4).error, 12);
  EXPECT_EQ(process->msync(W, 6 * kPage, 1).error, 12);
  EXPECT_EQ(process->msync(W + 2 * kPage, kPage, 0).error, 12);
}

TEST_P(Msync, Refusals) {
  process->mmap(W, 2 * kPage);
  EXPECT_EQ(process->msync(W, kPage, 5).error, 22) << "both at once and later";
  EXPECT_EQ(process->msync(W, kPage, 8).error, 22);
  EXPECT_EQ(process->msync(W + 1, kPage, 4).error, 22);
  EXPECT_EQ(process->msync(W, 0, 4).error, 0);
  process->mlock(W, kPage);
  EXPECT_EQ(process->msync(W, 2 * kPage, 2).error, 16) << "locked pages cannot be invalidated";
}

FL_INSTANTIATE_SPEC(Msync);

}  // namespace
}  // namespace faultline::spec
