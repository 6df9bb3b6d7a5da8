// What Linux promises about munmap(2), checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Munmap : public MemorySpec {};

TEST_P(Munmap, UnmapSplits) {
  process->mmap(W, 10 * kPage);
  process->write(W, 10 * kPage);
  EXPECT_EQ(process->munmap(W + 3 * kPage, 2 * kPage).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 3), mapping(5, 5)}));
  EXPECT_EQ(process->write(W, 3 * kPage) + process->write(W + 5 * kPage, 5 * kPage), 0u);
  EXPECT_EQ(process->touch(W + 3 * kPage, 2 * kPage, true).refused, 2u);
  EXPECT_EQ(process->munmap(W + kPage, 1).error, 0) << "a length is rounded up to pages";
  EXPECT_EQ(maps(), (std::vector{mapping(0, 1), mapping(2, 1), mapping(5, 5)}));
  EXPECT_EQ(process->munmap(W + 100 * kPage, kPage).error, 0) << "nothing there is no error";
  EXPECT_EQ(process->munmap(W, 0).error, 22);
  EXPECT_EQ(process->munmap(W + 1, kPage).error, 22);
}

TEST_P(Munmap, TakesWholeAndPartialMappingsAtOnce) {
  for (std::uint64_t i = 0; i < 4; ++i) process->mmap(W + 4 * i * kPage, 2 * kPage, i % 2 == 0 ? 3 : 1);
  process->write(W, 2 * kPage);
  EXPECT_EQ(process->munmap(W + kPage, 12 * kPage).error, 0);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 1), mapping(13, 1, 1)}));
  EXPECT_EQ(frames(W, 16 * kPage), 1u);
}

TEST_P(Munmap, Refusals) {
  EXPECT_EQ(process->munmap(0x7fff'ffff'f000, kPage).error, 22);
  EXPECT_EQ(process->munmap(W, ~std::uint64_t{0}).error, 22);
  EXPECT_EQ(process->munmap(~std::uint64_t{0xfff}, kPage).error, 22);
}

FL_INSTANTIATE_SPEC(Munmap);

}  // namespace
}  // namespace faultline::spec
