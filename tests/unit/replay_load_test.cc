// From events to a Program: slots, system calls of malloc, faults by area, the rest of the process.
#include <gtest/gtest.h>

#include "replay/fault_split.h"
#include "replay/load.h"
#include "replay/smaps.h"
#include "support/fake_recording.h"

namespace faultline::replay {
namespace {

using testing::FakeRecording;
using trace::CallKind;
using trace::HeapOp;

constexpr std::uint64_t kHeap = 0x555555559000;
constexpr std::uint64_t kMapped = 0x7ffff7c00010;

Program load(FakeRecording& recording) {
  auto program = load_program(recording, recording.info);
  EXPECT_TRUE(program.has_value()) << (program ? "" : program.error().message());
  return std::move(*program);
}

TEST(ReplayLoad, FreesNameTheSlotOfTheirBlockAndSlotsAreReused) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.malloc(24, kHeap + 0x2c0);
  recording.free(kHeap + 0x2a0);
  recording.malloc(24, kHeap + 0x2a0);
  recording.free(kHeap + 0x2c0);
  const Program program = load(recording);
  EXPECT_EQ(program.slots, 2u);
  EXPECT_EQ(program.events[2].slot, program.events[0].slot);
  EXPECT_EQ(program.events[3].slot, program.events[0].slot);
  EXPECT_EQ(program.events[4].slot, program.events[1].slot);
}

TEST(ReplayLoad, ReallocsOfNothingAndToNothingAreWhatGlibcMakesOfThem) {
  FakeRecording recording;
  recording.add(HeapOp::realloc, 100, 0, kHeap + 0x2a0);
  recording.add(HeapOp::realloc, 200, kHeap + 0x2a0, kHeap + 0x310);
  recording.add(HeapOp::realloc, 0, kHeap + 0x310, 0);
  const Program program = load(recording);
  EXPECT_EQ(program.events[0].op, HeapOp::malloc);
  EXPECT_EQ(program.events[1].op, HeapOp::realloc);
  EXPECT_EQ(program.events[1].other, program.events[0].slot);
  EXPECT_EQ(program.events[2].op, HeapOp::free);
  EXPECT_EQ(program.events[2].slot, program.events[1].slot);
}

TEST(ReplayLoad, FreeOfAnUnknownBlockIsCountedNotReplayed) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.free(kHeap + 0x1000);
  const Program program = load(recording);
  EXPECT_EQ(program.unknown_frees, 1u);
  EXPECT_TRUE(program.events[1].flags & kUnknown);
}

TEST(ReplayLoad, SizesBeyond32BitsAndFailuresAreKept) {
  FakeRecording recording;
  recording.malloc(std::uint64_t{5} << 32, 0x7ff000000010).flags = trace::kChunkMmapped;
  recording.malloc(~std::uint64_t{0}, 0);
  const Program program = load(recording);
  EXPECT_EQ(program.size_of(program.events[0]), std::uint64_t{5} << 32);
  EXPECT_TRUE(program.events[1].flags & kFailed);
  EXPECT_EQ(program.failed, 1u);
}

TEST(ReplayLoad, CallsInsideAnEventAreMallocsOwnAndTheProgramsBrkIsForeign) {
  FakeRecording recording;
  recording.malloc(100, kHeap + 0x2a0);
  recording.call(CallKind::brk, 0, 0, 0, static_cast<std::int64_t>(kHeap));  // brk(NULL): a query
  recording.call(CallKind::brk, kHeap + 0x21000, 0, 0, static_cast<std::int64_t>(kHeap + 0x21000));
  recording.malloc(100, kHeap + 0x310);
  recording.now_ns += 100'000;
  recording.call(CallKind::brk, kHeap + 0x31000, 0, 0, static_cast<std::int64_t>(kHeap + 0x31000));
  recording.call_list.back().begin_ns += 50'000;  // long after one malloc, long before the next
  recording.call_list.back().end_ns += 50'000;
  recording.malloc(100, kHeap + 0x380);
  const Program program = load(recording);
  ASSERT_EQ(program.calls.size(), 1u);
  EXPECT_EQ(program.calls[0].event, 0u);
  EXPECT_EQ(program.calls[0].address, kHeap + 0x21000);
  ASSERT_EQ(program.foreign_breaks.size(), 1u);
  EXPECT_EQ(program.foreign_breaks[0].event, 2u);
  EXPECT_EQ(program.foreign_breaks[0].delta, 0x10000);
}

TEST(ReplayLoad, AThreadsArenaShowsInItsFirstHeapBlock) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.malloc(24, 0x7fff00000b70, 101).flags = trace::kChunkNonMain;
  recording.malloc(24, kHeap + 0x2c0, 102);
  recording.free(kHeap + 0x2c0, 101);
  recording.malloc(24, kHeap + 0x2c0, 101);  // through the cache: says nothing about the arena
  const Program program = load(recording);
  ASSERT_EQ(program.threads.size(), 3u);
  EXPECT_EQ(program.threads[0].arena, 0u);
  EXPECT_EQ(program.threads[1].arena, 1u);
  EXPECT_EQ(program.threads[2].arena, 0u);
  EXPECT_EQ(program.arenas, 2u);
}

TEST(ReplayLoad, AThreadsLastMadviseIsItsEndAndItsFirstCallMakesItsArena) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.malloc(24, kHeap + 0x2c0);
  recording.free(kHeap + 0x2c0, 101);  // the thread's first call: its cache, and with it its arena, are made
  recording.call(CallKind::mmap, 0, 0x8000000, 0, 0x7fff00000000);
  recording.call(CallKind::munmap, 0x7fff00000000, 0x4000000, 0, 0);
  recording.call(CallKind::mprotect, 0x7fff04000000, 0x21000, 3, 0);
  recording.now_ns += 50'000;
  recording.call(CallKind::madvise, 0x7ffff0000000, 0x7fc000, 4, 0);
  recording.call_list.back().begin_ns += 20'000;
  recording.call_list.back().end_ns += 20'000;
  recording.malloc(24, kHeap + 0x2c0);
  const Program program = load(recording);
  ASSERT_EQ(program.calls.size(), 3u);
  for (const AllocatorCall& call : program.calls) EXPECT_EQ(call.event, 2u);
  EXPECT_EQ(program.threads[1].arena, 1u);
  ASSERT_EQ(program.thread_exits.size(), 1u);
  EXPECT_EQ(program.thread_exits[0].event, 3u);
  EXPECT_EQ(program.thread_exits[0].thread, 1u);
}

TEST(ReplayLoad, RefusesWhatTheModelDoesNotCover) {
  FakeRecording other;
  other.malloc(24, kHeap + 0x2a0);
  other.info.allocator = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
  auto refused = load_program(other, other.info);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("libjemalloc.so.2: the heap model does not apply"), std::string::npos);

  FakeRecording forked;
  forked.malloc(24, kHeap + 0x2a0);
  forked.info.forked_without_exec = true;
  refused = load_program(forked, forked.info);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("when was not recorded"), std::string::npos);

  FakeRecording foreign;
  foreign.malloc(24, kHeap + 0x2a0).flags = trace::kForeignHeader;
  EXPECT_FALSE(load_program(foreign, foreign.info));
}

TEST(ReplayLoad, FaultsAreSplitByWhatLivedAtTheirTime) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.fault(recording.now_ns + 100, kHeap + 8);
  recording.malloc(200'000, kMapped).flags = trace::kChunkMmapped;
  recording.fault(recording.now_ns + 100, kMapped);
  recording.fault(recording.now_ns + 200, 0x7ffffffde000);
  recording.free(kMapped).flags = trace::kChunkMmapped;
  recording.now_ns += 1'000'000;
  recording.fault(recording.now_ns, kMapped);  // the program's own mapping at the same place, later
  recording.malloc(24, kHeap + 0x2c0);
  recording.info.exit_seen = true;
  recording.info.minor_faults = 10;
  const Program program = load(recording);
  EXPECT_EQ(program.observed.heap_minor, 1u);
  EXPECT_EQ(program.observed.mmapped_minor, 1u);
  EXPECT_EQ(program.observed.unattributed_minor, 6u);
  EXPECT_EQ(program.observed.rest_minor, 8u);
  EXPECT_EQ(program.observed.minor(), 10u);
}

TEST(ReplayLoad, TheRestIsWhatIsResidentAtTheEndSpreadOverItsFaults) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.fault(1'000'000, 0x7ffff7000000);
  recording.fault(2'000'000, 0x7ffff7010000);
  recording.now_ns = 3'000'000;
  recording.malloc(24, kHeap + 0x2c0);
  recording.info.exit_seen = true;
  recording.info.exit_maps =
      "555555559000-55555557a000 rw-p 00000000 00:00 0                          [heap]\nRss:                   4 kB\n"
      "7ffff7000000-7ffff7100000 r-xp 00000000 08:01 77                         /lib/libx.so\nRss:                 128 kB\n"
      "7ffff7ff0000-7ffff7ff4000 rw-s 00000000 00:01 9                          /memfd:recorder\nRss:                  16 kB\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]\nRss:                  12 kB\n";
  recording.info.recorder_ranges = {{0x7ffff7ff0000, 0x7ffff7ff4000}};
  const Program program = load(recording);
  ASSERT_EQ(program.rest.size(), 3u);
  EXPECT_EQ(program.rest[0].time, 0u);
  EXPECT_EQ(program.rest[0].pages, 3u);        // the stack: no fault recorded there
  EXPECT_EQ(program.rest[1].pages, 3u + 16u);  // half of the library's 32 pages with its first fault
  EXPECT_EQ(program.rest[2].pages, 3u + 32u);
}

// The first fault in 64 KiB of a file brings all of them, a write one page; what comes after the report is not in its figures.
TEST(ReplayLoad, AFilesPagesComeWindowByWindow) {
  FakeRecording recording;
  recording.malloc(24, kHeap + 0x2a0);
  recording.fault(1'000'000, 0x7ffff7008000);
  recording.fault(2'000'000, 0x7ffff7003000);  // the same window
  recording.fault(3'000'000, 0x7ffff7040000);
  recording.fault(5'000'000, 0x7ffff7090000);  // a destructor
  recording.fault(5'000'000, 0x7ffffffde000);
  recording.now_ns = 6'000'000;
  recording.malloc(24, kHeap + 0x2c0);
  recording.info.exit_seen = true;
  recording.info.exit_report_ns = 4'000'000;
  recording.info.exit_maps =
      "7ffff7000000-7ffff7098000 r-xp 00000000 08:01 77                         /lib/libx.so\nRss:                 128 kB\n"
      "7ffffffde000-7ffffffff000 rw-p 00000000 00:00 0                          [stack]\nRss:                   0 kB\n";
  const Program program = load(recording);
  ASSERT_EQ(program.rest.size(), 3u);
  EXPECT_EQ(program.rest[1].time, 1'000u);
  EXPECT_EQ(program.rest[1].pages, 16u);
  EXPECT_EQ(program.rest[2].time, 3'000u);
  EXPECT_EQ(program.rest[2].pages, 32u);
  EXPECT_EQ(program.late.pages, 8u + 1u);  // the mapping ends within the window; and the stack's page
}

TEST(ReplaySmaps, ReadsHeadersAndRss) {
  const auto mappings = parse_smaps("7f0000000000-7f0000002000 rw-p 00000000 00:00 0 \nSize: 8 kB\nRss:  4 kB\nnonsense\n");
  ASSERT_EQ(mappings.size(), 1u);
  EXPECT_EQ(mappings[0].end - mappings[0].start, 0x2000u);
  EXPECT_EQ(mappings[0].permissions, "rw-p");
  EXPECT_EQ(mappings[0].name, "");
  EXPECT_EQ(mappings[0].rss_bytes, 4096u);
}

}  // namespace
}  // namespace faultline::replay
