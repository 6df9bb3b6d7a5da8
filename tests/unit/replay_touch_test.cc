// The touch model: what residency says about a block, and what is assumed where nothing was seen.
#include <gtest/gtest.h>

#include "replay/load.h"
#include "support/fake_recording.h"

namespace faultline::replay {
namespace {

using testing::FakeRecording;
using trace::CallKind;
using trace::HeapOp;

constexpr std::uint64_t kHeap = 0x555555559000;
constexpr std::uint64_t kMapped = 0x7ffff7c00010;

Program load(FakeRecording& recording) { return std::move(*load_program(recording, recording.info)); }

std::vector<Extent> list(const Program& program, std::size_t index) {
  return {program.extents.begin() + program.touch_offsets[index], program.extents.begin() + program.touch_offsets[index + 1]};
}

TEST(ReplayTouch, UnseenBlocksAreWrittenWhole) {
  FakeRecording recording;
  recording.malloc(100'000, kHeap + 0x2a0);
  recording.free(kHeap + 0x2a0);
  const Program program = load(recording);
  EXPECT_FALSE(program.events[0].flags & kPartial);
}

TEST(ReplayTouch, AMappedBlockIsTouchedWhereItWasResident) {
  FakeRecording recording;
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;  // 49 pages
  recording.free(kMapped).flags = trace::kChunkMmapped;
  recording.observed(kMapped - 16, {2, 10, 1, 36});
  const Program program = load(recording);
  ASSERT_TRUE(program.events[0].flags & kPartial);
  EXPECT_EQ(list(program, 0), (std::vector<Extent>{{0, 2 * 4096 - 16}, {12 * 4096 - 16, 13 * 4096 - 16}}));
}

TEST(ReplayTouch, ABlockNeverTouchedHasAnEmptyList) {
  FakeRecording recording;
  recording.malloc(200'000, kHeap + 0x1010);
  recording.free(kHeap + 0x1010);
  recording.observed(kHeap + 0x1000, {0, 49});
  const Program program = load(recording);
  ASSERT_TRUE(program.events[0].flags & kPartial);
  EXPECT_TRUE(list(program, 0).empty());
}

TEST(ReplayTouch, AtTheEndTheMappingsTell) {
  FakeRecording recording;
  recording.malloc(64 * 4096, kHeap + 0x10);
  recording.malloc(64, kHeap + 0x50000);
  recording.at_exit(kHeap, {4, 60, 100});
  const Program program = load(recording);
  ASSERT_TRUE(program.events[0].flags & kPartial);
  EXPECT_EQ(list(program, 0), (std::vector<Extent>{{0, 4 * 4096 - 16}, {64 * 4096 - 16, 64 * 4096}}));
  EXPECT_FALSE(program.events[1].flags & kPartial);
}

TEST(ReplayTouch, HeapPagesUntouchedToTheEndWereNotTouchedByDeadBlocksEither) {
  FakeRecording recording;
  recording.malloc(8 * 4096, kHeap + 0x10);
  recording.free(kHeap + 0x10);
  recording.at_exit(kHeap, {2, 100});
  const Program program = load(recording);
  ASSERT_TRUE(program.events[0].flags & kPartial);
  EXPECT_EQ(list(program, 0), (std::vector<Extent>{{0, 2 * 4096 - 16}}));
}

TEST(ReplayTouch, PagesGivenBackSinceSayNothing) {
  FakeRecording recording;
  recording.malloc(8 * 4096, kHeap + 0x10);
  recording.call(CallKind::brk, kHeap + 0x20000, 0, 0, static_cast<std::int64_t>(kHeap + 0x20000));
  recording.free(kHeap + 0x10);
  recording.call(CallKind::brk, kHeap + 0x1000, 0, 0, static_cast<std::int64_t>(kHeap + 0x1000));
  recording.malloc(64, kHeap + 0x10);
  recording.call(CallKind::brk, kHeap + 0x20000, 0, 0, static_cast<std::int64_t>(kHeap + 0x20000));
  recording.at_exit(kHeap, {1, 31});
  const Program program = load(recording);
  EXPECT_FALSE(program.events[0].flags & kPartial);
}

TEST(ReplayTouch, ASiteSeenToTouchHalfIsBelievedWhereNothingWasSeen) {
  FakeRecording recording;
  for (int i = 0; i < 4; ++i) {
    auto& event = recording.malloc(200'000, kMapped);
    event.flags = trace::kChunkMmapped;
    event.stack = 7;
    recording.free(kMapped).flags = trace::kChunkMmapped;
    if (i < 3) recording.observed(kMapped - 16, {25, 24});
  }
  const Program program = load(recording);
  ASSERT_TRUE(program.events[6].flags & kPartial);
  const auto learned = list(program, 3);
  ASSERT_EQ(learned.size(), 1u);
  EXPECT_NEAR(static_cast<double>(learned[0].end), 25 * 4096 - 16, 4096);
}

// A pool of 64 KiB at the heap's low end, filled by small blocks before: the pages say nothing about the pool. Where a
// pool of the same size got fresh pages it used a quarter.
TEST(ReplayTouch, PagesResidentBeforeCountOnlyUpToWhatIsUsualForTheSize) {
  FakeRecording recording;
  for (std::uint64_t at = 0; at < 0x14000; at += 0x1000) recording.malloc(4000, kHeap + at + 0x10);
  for (std::uint64_t at = 0; at < 0x14000; at += 0x1000) recording.free(kHeap + at + 0x10);
  const std::size_t old_pages = recording.events.size();
  recording.malloc(65536, kHeap + 0x1010).stack = 1;
  recording.free(kHeap + 0x1010);
  recording.observed(kHeap + 0x1000, {17});
  recording.malloc(65536, kHeap + 0x40010).stack = 2;
  recording.free(kHeap + 0x40010);
  recording.observed(kHeap + 0x40000, {4, 13});
  const Program program = load(recording);
  ASSERT_TRUE(program.events[old_pages].flags & kPartial);
  const auto touched = list(program, 0);
  ASSERT_EQ(touched.size(), 1u);
  EXPECT_EQ(touched[0].begin, 0u);
  EXPECT_EQ(touched[0].end, 4 * 4096u - 16);
}

TEST(ReplayTouch, ReallocWritesTheGrownPartByDefaultAndCallocOfManyPagesOnlyWhatItClears) {
  FakeRecording recording;
  recording.malloc(20'000, kHeap + 0x10);
  recording.add(HeapOp::realloc, 40'000, kHeap + 0x10, kHeap + 0x10);
  recording.free(kHeap + 0x10);
  recording.add(HeapOp::calloc, 10, 20'000, kMapped).flags = trace::kChunkMmapped;
  recording.free(kMapped).flags = trace::kChunkMmapped;
  const Program program = load(recording);
  EXPECT_FALSE(program.events[1].flags & kPartial);
  ASSERT_TRUE(program.events[3].flags & kPartial);
  EXPECT_TRUE(list(program, 0).empty());
}

}  // namespace
}  // namespace faultline::replay
