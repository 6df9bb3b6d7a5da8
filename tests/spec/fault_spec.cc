// What Linux promises about first touches of anonymous memory, checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Fault : public MemorySpec {};

TEST_P(Fault, FirstWriteTakesOneFaultAndOneFramePerPage) {
  ASSERT_EQ(process->mmap(W, kBig).error, 0);
  EXPECT_EQ(frames(W, kBig), 0u);
  EXPECT_EQ(process->write(W, kBig), 16384u);
  EXPECT_EQ(process->write(W, kBig), 0u);
  EXPECT_EQ(process->read(W, kBig), 0u);
  EXPECT_EQ(frames(W, kBig), 16384u);
}

TEST_P(Fault, ReadMapsTheZeroPageAndTheWriteAfterItFaultsAgain) {
  process->mmap(W, kBig);
  EXPECT_EQ(process->read(W, kBig), 16384u);
  EXPECT_EQ(frames(W, kBig), 0u);
  EXPECT_EQ(process->read(W, kBig), 0u);
  EXPECT_EQ(process->write(W, kBig), 16384u);
  EXPECT_EQ(frames(W, kBig), 16384u);
}

FL_INSTANTIATE_SPEC(Fault);

}  // namespace
}  // namespace faultline::spec
