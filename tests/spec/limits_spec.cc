// What Linux promises about RLIMIT_AS, RLIMIT_DATA and vm.max_map_count, checked on the real kernel and on the twin alike.
#include "memory_spec.h"

namespace faultline::spec {
namespace {

class Limits : public MemorySpec {};

constexpr std::uint32_t kAs = 9, kDataLimit = 2;

TEST_P(Limits, AddressSpace) {
  process->limit(kAs, 16 * kPage);
  EXPECT_EQ(process->mmap(W, 17 * kPage).error, 12);
  EXPECT_EQ(process->mmap(W, 16 * kPage).error, 0);
  EXPECT_EQ(process->mmap(W + 32 * kPage, kPage, 0).error, 12) << "reserved memory counts";
  EXPECT_EQ(process->mmap(W, 16 * kPage, 1).error, 0) << "what is replaced does not";
  EXPECT_EQ(process->mremap(W, 16 * kPage, 17 * kPage, 0).error, 12);
  EXPECT_EQ(process->mremap(W, 8 * kPage, 8 * kPage, kMoveFixed, W + 64 * kPage).error, 0) << "a move needs none";
  EXPECT_EQ(process->mremap(W + 64 * kPage, 8 * kPage, 8 * kPage, 7, W).error, 12) << "DONTUNMAP does";
}

TEST_P(Limits, ARefusedReplacementHasSplitAlready) {
  process->mmap(W, 16 * kPage, 1);
  process->limit(kDataLimit, 2 * kPage);
  EXPECT_EQ(process->mmap(W + 4 * kPage, 20 * kPage).error, 12);
  EXPECT_EQ(maps(), (std::vector{mapping(0, 4, 1), mapping(4, 12, 1)}));
}

TEST_P(Limits, DataIsPrivateAndWritable) {
  process->limit(kDataLimit, 8 * kPage);
  EXPECT_EQ(process->mmap(W, 64 * kPage, 1).error, 0);
  EXPECT_EQ(process->mmap(W + 64 * kPage, 64 * kPage, 3, 0x31).error, 0) << "shared memory is no data";
  EXPECT_EQ(process->mprotect(W, 9 * kPage, 3).error, 12);
  EXPECT_EQ(process->mprotect(W, 8 * kPage, 3).error, 0);
  EXPECT_EQ(process->mmap(W + 200 * kPage, kPage).error, 12);
  EXPECT_EQ(process->mprotect(W, 4 * kPage, 1).error, 0);
  EXPECT_EQ(process->mmap(W + 200 * kPage, 4 * kPage).error, 0);
}

// One mapping is cut up until the kernel refuses: every second page read-only makes each page a mapping.
TEST_P(Limits, MapCount) {
  constexpr std::uint64_t pages = 70000;
  process->mmap(W, pages * kPage, 0, 0x4032);
  std::uint64_t page = 1;
  while (page < pages && process->mprotect(W + page * kPage, kPage, 1).error == 0) page += 2;
  ASSERT_LT(page, pages);
  EXPECT_EQ(process->mprotect(W + page * kPage, kPage, 1).error, 12);
  EXPECT_EQ(process->munmap(W + (page + 1000) * kPage, kPage).error, 12) << "a hole needs one more";
  EXPECT_EQ(process->madvise(W + (page + 1000) * kPage, kPage, 10).error, 11) << "advice says try again";
  EXPECT_EQ(process->mlock(W + (page + 1000) * kPage, kPage).error, 12);
  EXPECT_EQ(process->mremap(W, kPage, kPage, kMoveFixed, W + (pages + 10) * kPage).error, 12) << "a move keeps a distance of six";
  EXPECT_EQ(process->munmap(W, kPage).error, 0);
}

FL_INSTANTIATE_SPEC(Limits);

}  // namespace
}  // namespace faultline::spec
