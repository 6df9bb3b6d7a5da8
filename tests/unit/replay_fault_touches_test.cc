// What recorded faults tell of the program's accesses to larger blocks.
#include <gtest/gtest.h>

#include "replay/load.h"
#include "replay/replayer.h"
#include "replay/site_touches.h"
#include "support/fake_recording.h"

namespace faultline::replay {
namespace {

using testing::FakeRecording;
using trace::FaultAccess;

constexpr std::uint64_t kHeap = 0x555555559000;
constexpr std::uint64_t kMapped = 0x7ffff7c00010;

Program load(FakeRecording& recording) { return std::move(*load_program(recording, recording.info)); }

void fault(FakeRecording& recording, std::uint64_t time_ns, std::uint64_t address, FaultAccess access = FaultAccess::write) {
  recording.fault(time_ns, address);
  recording.fault_list.back().access = access;
}

std::vector<TimedTouch> seen(const Program& program) {
  std::vector<TimedTouch> list;
  for (const TimedTouch& touch : program.timed_touches)
    if (touch.ground == Ground::seen) list.push_back(touch);
  return list;
}

TEST(ReplayFaultTouches, APageIsTouchedWhenItFaultedAndReadFirstIfItWas) {
  FakeRecording recording;
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;  // event 0 at 1000
  recording.malloc(24, kHeap + 0x2a0);                              // event 1 at 2000
  recording.malloc(24, kHeap + 0x2c0);                              // event 2 at 3000
  fault(recording, 1'700, kMapped - 16 + 3 * 4096 + 100, FaultAccess::read);
  fault(recording, 2'700, kMapped - 16 + 3 * 4096 + 200);
  fault(recording, 3'700, kMapped - 16 + 9 * 4096);
  const Program program = load(recording);
  EXPECT_EQ(program.timed_blocks, std::vector<std::uint32_t>{0});
  const auto touches = seen(program);
  ASSERT_EQ(touches.size(), 3u);
  EXPECT_EQ(touches[0].event, 0u);
  EXPECT_FALSE(touches[0].write);
  EXPECT_EQ(touches[0].begin, 3 * 4096 + 100 - 16u);
  EXPECT_EQ(touches[0].end, touches[0].begin + 1);  // a page alone: of its other bytes nothing is known
  EXPECT_EQ(touches[1].event, 1u);
  EXPECT_TRUE(touches[1].write);
  EXPECT_EQ(touches[2].event, 2u);
}

TEST(ReplayFaultTouches, ARunOfPagesIsOneStretchToTheMiddleOfItsLast) {
  FakeRecording recording;
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;
  for (std::uint64_t page = 4; page < 8; ++page) fault(recording, 1'600 + page, kMapped - 16 + page * 4096 + (page == 4 ? 80 : 0));
  const auto touches = seen(load(recording));
  ASSERT_EQ(touches.size(), 1u);
  EXPECT_EQ(touches[0].begin, 4 * 4096 + 80 - 16u);
  EXPECT_EQ(touches[0].end, 7 * 4096 + 2048 - 16u);
}

TEST(ReplayFaultTouches, TheReplayTakesTheRecordedFaultsInTheRecordedLayout) {
  FakeRecording recording;
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;
  for (std::uint64_t page : {3, 5, 20}) fault(recording, 1'600 + page, kMapped - 16 + page * 4096);
  fault(recording, 1'650, kMapped - 16 + 30 * 4096, FaultAccess::read);
  const Program program = load(recording);
  const Prediction p = replay(program, recorded_parameters(program), Placement::own);
  EXPECT_EQ(p.mmapped_minor, 5u);  // the header's page, three written, one read
  EXPECT_EQ(p.unseen_minor, 0u);
}

TEST(ReplayFaultTouches, WhatIsKeptOfARunIsNotThePagesItLaysOn) {
  FakeRecording recording;
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;
  for (std::uint64_t page : {3, 5, 20}) fault(recording, 1'600 + page, kMapped - 16 + page * 4096);
  const Program program = load(recording);
  heap::Parameters parameters = recorded_parameters(program);
  parameters.tunables.mmap_max = 0;  // the block moves into the heap, off the page boundary: still three pages
  const Prediction p = replay(program, parameters, Placement::own);
  EXPECT_EQ(p.mmapped_minor, 0u);
  EXPECT_EQ(p.heap_minor, 5u);  // headers of the first chunks and of top, and the three
}

TEST(ReplayFaultTouches, PagesResidentBeforeAreJudgedByTheSite) {
  FakeRecording recording;
  const std::uint64_t block = kHeap + 0x1000;
  for (int i = 0; i < 3; ++i) {
    recording.malloc(8 * 4096, block).stack = 7;
    if (i == 0)
      for (std::uint64_t page = 0; page < 4; ++page) fault(recording, recording.now_ns + 600 + page, block + page * 4096);
    recording.free(block);
  }
  const Program program = load(recording);
  // The first block showed that four pages of eight are touched; of the second and third only pages never touched can be seen.
  std::uint64_t usual = 0;
  for (const TimedTouch& touch : program.timed_touches)
    if (touch.ground == Ground::usual) usual += touch.end - touch.begin;
  EXPECT_GT(usual, 0u);
  EXPECT_LE(usual, 2 * 4 * 4096u);
  EXPECT_GE(program.error_of[static_cast<std::size_t>(Ground::usual)], SiteTouches::kLeastError);
}

constexpr trace::ContentRun same(std::uint32_t pages) { return {.pages = pages, .first = 0, .last = 0, .changed = false, .compared = true, .zero = false, .cleared = false}; }
constexpr trace::ContentRun changed(std::uint32_t pages, std::uint8_t first, std::uint8_t last) {
  return {.pages = pages, .first = first, .last = last, .changed = true, .compared = true, .zero = false, .cleared = false};
}

// Eight pages all touched by one site, then given to another, which leaves them like this. Its block is born with event 2.
Program second_use_of_a_block(const std::vector<trace::ContentRun>& contents) {
  FakeRecording recording;
  const std::uint64_t block = kHeap + 0x1010;
  recording.malloc(8 * 4096, block).stack = 5;
  for (std::uint64_t page = 0; page <= 8; ++page) fault(recording, recording.now_ns + 600 + page, block + page * 4096 - (page == 8 ? 16 : 0));
  recording.free(block);
  recording.malloc(8 * 4096, block).stack = 7;
  recording.free(block);
  recording.contents(contents);
  return load(recording);
}

// The page was resident before the block was born, and what it held changed: eight lines of its first page.
TEST(ReplayFaultTouches, ContentsTellOfPagesResidentBefore) {
  const Program program = second_use_of_a_block({changed(1, 8, 15), same(8)});
  std::vector<TimedTouch> second;
  for (const TimedTouch& touch : program.timed_touches)
    if (touch.event == 2) second.push_back(touch);
  ASSERT_EQ(second.size(), 1u);
  EXPECT_EQ(second[0].begin, 512u - 0x10);
  EXPECT_EQ(second[0].end, 1024u - 0x10);
  EXPECT_EQ(second[0].ground, Ground::seen);
}

// Pages before one that changed may have been written again just the same: not told by contents. Those behind it were not touched.
TEST(ReplayFaultTouches, WhatFillsABlockCameByItsBeginning) {
  const Program program = second_use_of_a_block({same(3), changed(1, 0, 31), same(5)});
  std::uint64_t told = 0, judged = 0, last = 0;
  for (const TimedTouch& touch : program.timed_touches) {
    if (touch.event != 2 || !touch.write) continue;
    (touch.ground == Ground::seen ? told : judged) += touch.end - touch.begin;
    last = std::max(last, touch.end);
  }
  EXPECT_EQ(told, 32u * 64);
  EXPECT_GE(judged, 4096u - 0x10);  // the page with the header at least; the others by what is known of the site
  EXPECT_EQ(last, 3 * 4096 - 0x10 + 32u * 64);
}

// A block whose contents were not compared is used like the one of its site that was. The third block's unchanged pages tell nothing:
// the same site may have written them again just the same.
TEST(ReplayFaultTouches, ABlockIsUsedLikeAComparedOneOfItsSite) {
  FakeRecording recording;
  const std::uint64_t block = kHeap + 0x1010;
  for (int i = 0; i < 4; ++i) {
    recording.malloc(8 * 4096, block).stack = i == 0 ? 5 : 7;
    if (i == 0)
      for (std::uint64_t page = 0; page <= 8; ++page) fault(recording, recording.now_ns + 600 + page, block + page * 4096 - (page == 8 ? 16 : 0));
    recording.free(block).stack = 8;
    if (i == 1) recording.contents({changed(3, 0, 63), same(6)});
    if (i == 2) recording.contents({same(9)});
  }
  const Program program = load(recording);
  for (const std::uint32_t birth : {4u, 6u}) {
    std::uint64_t alike = 0;
    for (const TimedTouch& touch : program.timed_touches)
      if (touch.event == birth) {
        EXPECT_EQ(touch.ground, Ground::alike);
        alike += touch.end - touch.begin;
      }
    EXPECT_EQ(alike, 3 * 4096 - 0x10u);
  }
}

TEST(ReplayFaultTouches, WhatCallocClearedIsNotTheProgramsAccess) {
  FakeRecording recording;
  recording.add(trace::HeapOp::calloc, 1, 4 * 4096, kHeap + 0x1000);
  fault(recording, recording.now_ns + 100, kHeap + 0x2000);  // inside calloc
  EXPECT_TRUE(seen(load(recording)).empty());
}

// Contents tell that the program wrote, not that it looked first. Who asks for zeroes does (a hash table is searched before it is filled).
TEST(ReplayFaultTouches, WhatChangedInCallocMemoryWasLookedAtFirst) {
  FakeRecording recording;
  const std::uint64_t block = kHeap + 0x1000;
  recording.malloc(4 * 4096, block).stack = 5;
  for (std::uint64_t page = 0; page < 4; ++page) fault(recording, recording.now_ns + 600 + page, block + page * 4096);
  recording.free(block);
  recording.add(trace::HeapOp::calloc, 1, 4 * 4096, block).stack = 7;  // pages that were there: calloc clears them
  recording.free(block);
  recording.contents({changed(4, 0, 63)});
  std::uint64_t read = 0, written = 0;
  for (const TimedTouch& touch : load(recording).timed_touches)
    if (touch.event == 2) (touch.write ? written : read) += touch.end - touch.begin;
  EXPECT_EQ(read, 4u * 4096);
  EXPECT_EQ(written, 4u * 4096);
}

// What a block of the site left there may still be there although another block came between and was not written there.
TEST(ReplayFaultTouches, UnchangedSaysNothingWhereTheSiteWasBefore) {
  FakeRecording recording;
  const std::uint64_t block = kHeap + 0x1010;
  for (int i = 0; i < 3; ++i) {
    recording.malloc(8 * 4096, block).stack = i == 1 ? 6 : 7;
    if (i == 0)
      for (std::uint64_t page = 0; page <= 8; ++page) fault(recording, recording.now_ns + 600 + page, block + page * 4096 - (page == 8 ? 16 : 0));
    recording.free(block);
    recording.contents(i == 0 ? std::vector{changed(9, 0, 63)} : std::vector{same(9)});
  }
  std::uint64_t between = 0, again = 0;
  for (const TimedTouch& touch : load(recording).timed_touches) {
    if (touch.event == 2) between += touch.end - touch.begin;
    if (touch.event == 4) again += touch.end - touch.begin;
  }
  EXPECT_EQ(between, 0u);
  EXPECT_GE(again, 7 * 4096u);  // as the first block of the site was
}

TEST(ReplayFaultTouches, WithoutExactCallsNothingIsFollowed) {
  FakeRecording recording;
  recording.meta_data.calls_exact = false;
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;
  fault(recording, 1'600, kMapped + 4096);
  EXPECT_TRUE(load(recording).timed_blocks.empty());
}

}  // namespace
}  // namespace faultline::replay
