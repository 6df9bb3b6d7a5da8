// What Linux promises about mapped files, checked on the real kernel and on the twin alike. The twin starts from the page
// cache as it is found.
#include "spec_test.h"
#include "test_file.h"

namespace faultline::spec {
namespace {

constexpr std::uint64_t W = kWindow;
constexpr std::uint32_t kPrivate = 0x12, kShared = 0x11;  // | MAP_FIXED
constexpr int kRandom = 1, kSequential = 2, kWillNeed = 3, kDontNeed = 4;
constexpr std::uint64_t kBig = 16384 * kPage;  // the 64 MiB of the oracle vectors

class FileMapping : public SpecTest {
 protected:
  // Pages of `kind`; SKIPPED where such a file cannot be had.
  bool make(FileKind kind, std::uint64_t bytes, std::uint64_t chunk = kPage, bool writable = true) {
    const std::string missing = TestFile::missing(kind, chunk > kPage);
    if (!missing.empty()) {
      why = "SKIPPED: " + missing;
      return false;
    }
    file = std::make_unique<TestFile>(kind, bytes, chunk);
    process->open(0, *file, writable);
    return true;
  }
  // Not in the page cache; to be seen page by page, so that the device is always done before the next fault.
  bool make_cold(std::uint64_t bytes) {
    const std::string missing = TestFile::missing(FileKind::disk, true);
    if (!missing.empty()) {
      why = "SKIPPED: " + missing;
      return false;
    }
    file = std::make_unique<TestFile>(FileKind::disk, bytes, bytes);
    file->drop();
    process->open(0, *file);
    return true;
  }
  void TearDown() override {
    SpecTest::TearDown();
    process.reset();  // before the file
  }
  std::unique_ptr<TestFile> file;
  std::string why;
};

TEST_P(FileMapping, CachedPagesAreMappedSixteenAtATime) {
  if (!make(FileKind::disk, 64 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 64 * kPage, 1, kShared);
  EXPECT_EQ(process->read(W + 5 * kPage, kPage), 1u);
  EXPECT_EQ(pages_in(*process, W, 64 * kPage, 4), 16u);
  EXPECT_EQ(process->read(W, 64 * kPage), 3u);
}

TEST_P(FileMapping, LargeFoliosAreMappedWhole) {
  if (!make(FileKind::disk, 256 * kPage, 64 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 256 * kPage, 1, kPrivate);
  EXPECT_EQ(process->read(W + 70 * kPage, kPage), 1u);
  EXPECT_EQ(pages_in(*process, W + 64 * kPage, 64 * kPage, 4), 64u);
  EXPECT_EQ(process->read(W, 192 * kPage), 2u);
  EXPECT_EQ(process->read(W + 192 * kPage, 64 * kPage), 4u) << "the last folio ends with the file: sixteen at a time";
}

TEST_P(FileMapping, APrivateWriteAfterAReadCopies) {
  if (!make(FileKind::disk, 32 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 32 * kPage, 3, kPrivate);
  process->read(W, 32 * kPage);
  EXPECT_EQ(process->write(W, 8 * kPage), 8u);
  EXPECT_EQ(pages_in(*process, W, 32 * kPage, 2), 8u);
  EXPECT_EQ(pages_in(*process, W, 32 * kPage, 4), 24u);
  EXPECT_EQ(process->madvise(W, 8 * kPage, kDontNeed).error, 0);
  EXPECT_EQ(process->read(W, 8 * kPage), 1u) << "the file's page again";
}

TEST_P(FileMapping, EveryPrivatePageIsCopiedOnce) {
  if (!make(FileKind::disk, kBig)) GTEST_SKIP() << why;
  process->map_file(W, kBig, 3, kPrivate);
  process->read(W, kBig);
  EXPECT_EQ(process->write(W, kBig), 16384u);
  EXPECT_EQ(process->write(W, kBig), 0u);
}

TEST_P(FileMapping, APrivateWriteFirstCopiesAtOnce) {
  if (!make(FileKind::disk, 32 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 32 * kPage, 3, kPrivate);
  EXPECT_EQ(process->write(W, 8 * kPage), 8u);
  EXPECT_EQ(pages_in(*process, W, 32 * kPage, 2), 8u);
  EXPECT_EQ(pages_in(*process, W, 32 * kPage, 0), 24u) << "a write maps nothing around itself";
}

TEST_P(FileMapping, ForkCopiesTheEntriesOncePrivatePagesExist) {
  if (!make(FileKind::disk, 16 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 16 * kPage, 3, kPrivate);
  process->read(W, 16 * kPage);
  EXPECT_EQ(pages_in(*process->fork(), W, 16 * kPage, 0), 16u);
  process->write(W, kPage);
  auto child = process->fork();
  EXPECT_EQ(pages_in(*child, W, 16 * kPage, 0), 0u);
  EXPECT_EQ(child->write(W, 2 * kPage), 2u);
}

TEST_P(FileMapping, EverySharedWriteIsNoticedOnADisk) {
  if (!make(FileKind::disk, 32 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 32 * kPage, 3, kShared);
  process->read(W, 32 * kPage);
  EXPECT_EQ(process->write(W, 8 * kPage), 8u);
  EXPECT_EQ(process->write(W, 8 * kPage), 0u);
  EXPECT_EQ(process->run({Op::msync, W, 32 * kPage, 4}).error, 0);
  EXPECT_EQ(process->write(W, 8 * kPage), 8u) << "written back: the next write is noticed again";
  EXPECT_EQ(process->run({Op::msync, W, 32 * kPage, 1}).error, 0);
  EXPECT_EQ(process->write(W, 8 * kPage), 0u) << "MS_ASYNC writes nothing";
}

TEST_P(FileMapping, ATmpfsNoticesNoWrites) {
  if (!make(FileKind::tmpfs, 32 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 32 * kPage, 3, kShared);
  EXPECT_EQ(process->read(W, 32 * kPage), 2u);
  EXPECT_EQ(process->write(W, 32 * kPage), 0u);
}

TEST_P(FileMapping, BeyondTheEndIsSigbus) {
  if (!make(FileKind::disk, 10 * kPage + 100)) GTEST_SKIP() << why;
  process->map_file(W, 16 * kPage, 3, kShared);
  EXPECT_EQ(process->touch(W, 16 * kPage, false).refused, 5u);
  EXPECT_EQ(process->touch(W, 16 * kPage, true).refused, 5u);
  EXPECT_EQ(process->run({Op::truncate, 0, 4 * kPage}).error, 0);
  EXPECT_EQ(pages_in(*process, W, 16 * kPage, 4), 4u);
  EXPECT_EQ(process->touch(W, 16 * kPage, false).refused, 12u);
}

TEST_P(FileMapping, TruncationTakesPrivateCopiesToo) {
  if (!make(FileKind::disk, 8 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 8 * kPage, 3, kPrivate);
  process->write(W, 8 * kPage);
  process->run({Op::truncate, 0, 2 * kPage});
  EXPECT_EQ(pages_in(*process, W, 8 * kPage, 2), 2u);
}

TEST_P(FileMapping, MincoreAsksThePageCache) {
  if (!make(FileKind::disk, 8 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 8 * kPage, 1, kShared);
  const Answer untouched = process->run({Op::mincore, W, 8 * kPage});
  process->mmap(W + 20 * kPage, 8 * kPage);
  process->write(W + 20 * kPage, 8 * kPage);
  EXPECT_EQ(process->run({Op::mincore, W + 20 * kPage, 8 * kPage}).value, untouched.value) << "all are there, none was touched";
}

TEST_P(FileMapping, AFileOpenForReadingCannotBeWrittenThrough) {
  if (!make(FileKind::disk, 4 * kPage, kPage, false)) GTEST_SKIP() << why;
  EXPECT_EQ(process->map_file(W, 4 * kPage, 3, kShared).error, 13);
  EXPECT_EQ(process->map_file(W, 4 * kPage, 1, kShared).error, 0);
  EXPECT_EQ(process->mprotect(W, 4 * kPage, 3).error, 13);
  EXPECT_EQ(process->map_file(W + 10 * kPage, 4 * kPage, 3, kPrivate).error, 0) << "a private copy may be";
}

TEST_P(FileMapping, MappingsOfOneFileMergeWhereTheyContinue) {
  if (!make(FileKind::disk, 16 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 4 * kPage, 1, kPrivate, 0, 0);
  process->map_file(W + 4 * kPage, 4 * kPage, 1, kPrivate, 0, 4);
  process->map_file(W + 8 * kPage, 4 * kPage, 1, kPrivate, 0, 9);
  EXPECT_EQ(process->mappings(), (std::vector{mapping(0, 8, 1), mapping(8, 4, 1)}));
}

// --- a cold file: the answer depends on how far the device is read ahead, which the twin is told ---

TEST_P(FileMapping, TheFirstReadOfAColdFileIsMajorAndReadsAround) {
  if (!make_cold(4096 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 4096 * kPage, 1, kShared);
  const Answer answer = process->touch(W + 100 * kPage, kPage, false);
  file->settle();
  EXPECT_EQ(answer.major_faults, 1u);
  EXPECT_EQ(answer.minor_faults, 0u);
  const Answer next = process->touch(W + 101 * kPage, kPage, false);
  EXPECT_EQ(next.major_faults, 0u);
}

TEST_P(FileMapping, RandomAdviceReadsSinglePages) {
  if (!make_cold(4096 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 4096 * kPage, 1, kShared);
  process->madvise(W, 4096 * kPage, kRandom);
  for (std::uint64_t page = 0; page < 4096; page += 512) {
    const Answer answer = process->touch(W + page * kPage, kPage, false);
    EXPECT_EQ(answer.major_faults, 1u);
  }
}

TEST_P(FileMapping, WillNeedReadsBeforeTheFault) {
  if (!make_cold(64 * kPage)) GTEST_SKIP() << why;
  process->map_file(W, 64 * kPage, 1, kShared);
  EXPECT_EQ(process->madvise(W, 16 * kPage, kWillNeed).error, 0);
  file->settle();
  EXPECT_EQ(process->touch(W, 16 * kPage, false).major_faults, 0u);
}

FL_INSTANTIATE_SPEC(FileMapping);

// --- the oracle vectors with files: the same program on both, from the same page cache ---

struct Counts {
  std::uint64_t minor = 0, major = 0;
  bool operator==(const Counts&) const = default;
};

// Touches pages in the given order with time for the device after each fault that might read.
Counts touch_all(Process& process, TestFile& file, const std::vector<std::uint64_t>& pages, bool settle) {
  Counts counted;
  for (const std::uint64_t page : pages) {
    const Answer answer = process.touch(W + page * kPage, kPage, false);
    if (settle && answer.minor_faults + answer.major_faults > 0) file.settle();
    counted.minor += answer.minor_faults;
    counted.major += answer.major_faults;
  }
  return counted;
}

struct KernelAndTwin {
  Counts kernel, twin;
};

KernelAndTwin count_reads(TestFile& file, bool cold, int advice, std::uint64_t stride, std::uint64_t touches) {
  if (cold) file.drop();
  KernelProcess kernel;
  TwinProcess twin;
  kernel.open(0, file);
  twin.open(0, file);
  std::vector<std::uint64_t> pages;
  for (std::uint64_t i = 0; i < touches; ++i) pages.push_back(i * stride % 16384);
  const auto count = [&](Process& process, bool settle) {
    process.map_file(W, kBig, 1, kShared);
    if (advice != 0) process.madvise(W, kBig, advice);
    return touch_all(process, file, pages, settle);
  };
  const KernelAndTwin counted{.kernel = count(kernel, cold), .twin = count(twin, false)};
  twin.machine().check_invariants();
  std::printf("%llu minor, %llu major\n", static_cast<unsigned long long>(counted.kernel.minor),
              static_cast<unsigned long long>(counted.kernel.major));
  return counted;
}

// Where the device falls behind (others use it), a page of read-ahead is not there yet when it is touched, and the kernel counts one
// fault more or less: a cold file is read again, five times at most.
void compare_reads(bool cold, int advice, std::uint64_t stride, std::uint64_t touches) {
  const std::string missing = TestFile::missing(FileKind::disk, true);
  if (!missing.empty()) GTEST_SKIP() << "SKIPPED: " << missing;
  TestFile file(FileKind::disk, kBig, std::uint64_t{1} << 20);
  KernelAndTwin counted = count_reads(file, cold, advice, stride, touches);
  for (int again = 0; cold && again < 4 && counted.kernel != counted.twin; ++again) counted = count_reads(file, cold, advice, stride, touches);
  EXPECT_EQ(counted.kernel.minor, counted.twin.minor);
  EXPECT_EQ(counted.kernel.major, counted.twin.major);
}

TEST(FileOracle, WarmSequential) { compare_reads(false, 0, 1, 16384); }
TEST(FileOracle, ColdSequential) { compare_reads(true, 0, 1, 16384); }
TEST(FileOracle, ColdSequentialAdvised) { compare_reads(true, kSequential, 1, 16384); }
TEST(FileOracle, ColdRandom) { compare_reads(true, 0, 7919, 2048); }
TEST(FileOracle, ColdRandomAdvised) { compare_reads(true, kRandom, 7919, 2048); }

}  // namespace
}  // namespace faultline::spec
