// What Linux promises about transparent huge pages of anonymous memory, on the real kernel and on the twin alike.
#include "spec_test.h"
#include "thp_settings.h"

namespace faultline::spec {
namespace {

constexpr std::uint64_t W = kWindow;
constexpr std::uint64_t kHuge = 512 * kPage;
constexpr int kDontNeed = 4, kFree = 8, kHugePage = 14, kNoHugePage = 15, kCold = 20, kCollapse = 25;

class HugePages : public SpecTest {
 protected:
  void SetUp() override {
    if (!huge_pages_by_advice() || !thp_setting_has("use_zero_page", "1")) GTEST_SKIP() << "SKIPPED: huge pages are not in mode madvise";
    SpecTest::SetUp();
    process->allow_huge_pages(true);
  }
  void map(std::uint64_t pages) {
    process->mmap(W, pages * kPage);
    process->madvise(W, pages * kPage, kHugePage);
  }
};

TEST_P(HugePages, OneFaultForTwoMebibytes) {
  map(16384);
  EXPECT_EQ(process->write(W, 16384 * kPage), 32u);
  EXPECT_EQ(process->huge_bytes(), 16384 * kPage);
  EXPECT_EQ(pages_in(*process, W, 16384 * kPage, 2), 16384u);
}

TEST_P(HugePages, WithoutTheWishThereAreNone) {
  process->mmap(W, 2 * kHuge);
  EXPECT_EQ(process->write(W, 2 * kHuge), 1024u);
  EXPECT_EQ(process->huge_bytes(), 0u);
  map(1024);
  process->madvise(W, 2 * kHuge, kNoHugePage);
  EXPECT_EQ(process->write(W, kHuge), 512u);
}

TEST_P(HugePages, OnlyWhereTheyFit) {
  process->mmap(W + kPage, 3 * kHuge);
  process->madvise(W + kPage, 3 * kHuge, kHugePage);
  EXPECT_EQ(process->write(W + kPage, 3 * kHuge), 511u + 2u + 1u);
  EXPECT_EQ(process->huge_bytes(), 2 * kHuge);
}

TEST_P(HugePages, ASmallPageInTheRegionKeepsItSmall) {
  process->mmap(W, kHuge);
  process->write(W, kPage);
  process->madvise(W, kHuge, kHugePage);
  EXPECT_EQ(process->write(W, kHuge), 511u);
}

TEST_P(HugePages, ReadingMapsTheHugeZeroPage) {
  map(1024);
  EXPECT_EQ(process->read(W, 2 * kHuge), 2u);
  EXPECT_EQ(process->huge_bytes(), 0u);
  EXPECT_EQ(process->write(W + 7 * kPage, kPage), 1u);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  EXPECT_EQ(process->write(W, kHuge), 0u);
}

TEST_P(HugePages, UnmappingAPartSplits) {
  map(1024);
  process->write(W, 2 * kHuge);
  process->munmap(W + 10 * kPage, 2 * kPage);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  EXPECT_EQ(pages_in(*process, W, kHuge, 2), 510u);
  EXPECT_EQ(process->write(W, 10 * kPage), 0u);
}

TEST_P(HugePages, ProtectingAPartSplits) {
  map(512);
  process->write(W, kHuge);
  process->mprotect(W + 100 * kPage, 10 * kPage, 1);
  EXPECT_EQ(process->huge_bytes(), 0u);
  process->mprotect(W + 100 * kPage, 10 * kPage, 3);
  EXPECT_EQ(process->write(W, kHuge), 0u);
  EXPECT_EQ(process->huge_bytes(), 0u) << "it does not come back by itself";
}

TEST_P(HugePages, ProtectingAllOfItKeepsIt) {
  map(512);
  process->write(W, kHuge);
  process->mprotect(W, kHuge, 1);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  process->mprotect(W, kHuge, 3);
  EXPECT_EQ(process->write(W, kHuge), 0u);
}

TEST_P(HugePages, DontNeedOfAllOfItMakesRoomForTheNext) {
  map(512);
  process->write(W, kHuge);
  process->madvise(W, kHuge, kDontNeed);
  EXPECT_EQ(process->write(W + 5 * kPage, kPage), 1u);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  process->madvise(W, 4 * kPage, kDontNeed);
  EXPECT_EQ(process->huge_bytes(), 0u);
  EXPECT_EQ(process->write(W, kHuge), 4u);
}

TEST_P(HugePages, LazyFreeAndColdOfAPartSplit) {
  map(1024);
  process->write(W, 2 * kHuge);
  process->madvise(W, 4 * kPage, kFree);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  process->madvise(W + kHuge, 4 * kPage, kCold);
  EXPECT_EQ(process->huge_bytes(), 0u);
}

TEST_P(HugePages, MovingKeepsThemWhereBothPlacesAreAligned) {
  map(512);
  process->write(W, kHuge);
  process->mremap(W, kHuge, kHuge, 3, W + 4 * kHuge);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  process->mremap(W + 4 * kHuge, kHuge, kHuge, 3, W + 8 * kHuge + kPage);
  EXPECT_EQ(process->huge_bytes(), 0u);
  EXPECT_EQ(process->write(W + 8 * kHuge + kPage, kHuge), 0u);
}

TEST_P(HugePages, AfterForkAWriteSplitsAndCopiesOnePage) {
  map(512);
  process->write(W, kHuge);
  auto child = process->fork();
  EXPECT_EQ(child->huge_bytes(), kHuge);
  EXPECT_EQ(child->write(W, 3 * kPage), 3u);
  EXPECT_EQ(child->huge_bytes(), 0u);
  EXPECT_EQ(process->huge_bytes(), kHuge) << "the other side keeps its entry";
  EXPECT_EQ(pages_in(*child, W, kHuge, 2), 3u);
  EXPECT_EQ(pages_in(*child, W, kHuge, 1), 509u);
}

TEST_P(HugePages, TheLastOwnerTakesAllOfItBackWithOneFault) {
  map(512);
  process->write(W, kHuge);
  process->fork().reset();
  EXPECT_EQ(process->write(W, kHuge), 1u);
  EXPECT_EQ(process->huge_bytes(), kHuge);
}

TEST_P(HugePages, CollapseMakesThemFromWhatIsThere) {
  process->mmap(W, 2 * kHuge);
  process->write(W, 100 * kPage);
  process->read(W + 200 * kPage, 50 * kPage);
  EXPECT_EQ(process->madvise(W, kHuge, kCollapse).error, 0);
  EXPECT_EQ(process->huge_bytes(), kHuge);
  EXPECT_EQ(process->write(W, kHuge), 0u);
  EXPECT_EQ(process->madvise(W, kHuge, kCollapse).error, 0) << "it is one already";
  EXPECT_EQ(process->madvise(W, 2 * kHuge, kCollapse).error, 22) << "nothing in the second region";
  process->mmap(W + 4 * kHuge, 100 * kPage);
  process->write(W + 4 * kHuge, kPage);
  EXPECT_EQ(process->madvise(W + 4 * kHuge, 100 * kPage, kCollapse).error, 22) << "no room for one";
}

TEST_P(HugePages, PopulateTakesThemToo) {
  map(1024);
  EXPECT_EQ(process->madvise(W, 2 * kHuge, 23).minor_faults, 2u);
  EXPECT_EQ(process->huge_bytes(), 2 * kHuge);
}

FL_INSTANTIATE_SPEC(HugePages);

}  // namespace
}  // namespace faultline::spec
