// What the heap keeps and who pins it, and the findings, on recordings whose answer is known by construction.
#include <gtest/gtest.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "base/units.h"
#include "support/synthetic_recording.h"

namespace faultline::analyze {
namespace {

using testing::SyntheticRecording;
using trace::CallKind;

constexpr std::uint64_t kHeap = 0x555555559000;

void move_break(SyntheticRecording& recording, std::uint64_t bytes) {
  recording.call(CallKind::brk, kHeap + bytes, 0, 0, static_cast<std::int64_t>(kHeap + bytes));
}

bool has(const Analysis& analysis, const std::string& id) {
  return std::any_of(analysis.findings.begin(), analysis.findings.end(), [&](const Finding& finding) { return finding.id == id; });
}

TEST(Retention, NamesTheBlockThatKeepsTheBreakFromMoving) {
  SyntheticRecording recording;
  const trace::StackId bulk = recording.stack({0x555555554111}), pin = recording.stack({0x555555554222});
  recording.malloc(100, kHeap + 0x10).stack = bulk;  // chunk 112 bytes: [0, 0x70)
  move_break(recording, 8 << 20);
  recording.malloc(4 << 20, kHeap + 0x80).stack = bulk;  // [0x70, 0x400080)
  recording.malloc(24, kHeap + 0x400090).stack = pin;     // [0x400080, 0x4000a0)
  recording.free(kHeap + 0x80);
  const Analysis analysis = analyze(recording, recording.info, "x.fl");
  const Retention& retention = analysis.retention;
  EXPECT_EQ(retention.end.heap_bytes, 8u << 20);
  EXPECT_EQ(retention.end.live_chunk_bytes, 112u + 32u);
  EXPECT_EQ(retention.free_below_bytes, 0x400080u - 0x70u);
  EXPECT_EQ(retention.top_bytes, (8u << 20) - 0x4000a0u);
  EXPECT_EQ(retention.trimmable_bytes, 0x400000u - 0x1000u);
  ASSERT_FALSE(retention.pins.empty());
  EXPECT_EQ(retention.pins[0].block.address, kHeap + 0x400090);
  EXPECT_EQ(retention.pins[0].block.site, pin);
  EXPECT_EQ(retention.pins[0].break_drop_bytes, 0x4000a0u - 0x70u);
  EXPECT_TRUE(has(analysis, "pinned_top"));
  EXPECT_FALSE(has(analysis, "nothing_to_gain"));
}

TEST(Retention, BytesHeldSumUpToTheFreeBytesOfSharedPages) {
  SyntheticRecording recording;
  const trace::StackId keep = recording.stack({0x555555554111}), other = recording.stack({0x555555554222});
  std::vector<std::uint64_t> freed;
  for (std::uint64_t i = 0; i < 40000; ++i) {
    const std::uint64_t address = kHeap + 0x10 + i * 112;
    recording.malloc(100, address).stack = i % 20 == 0 ? keep : other;
    if (i == 0) move_break(recording, page_ceil(40000 * 112 + 4096));
    if (i % 20 != 0) freed.push_back(address);
  }
  for (const std::uint64_t address : freed) recording.free(address);
  const Analysis analysis = analyze(recording, recording.info, "x.fl");
  ASSERT_EQ(analysis.retention.holders.size(), 1u);
  EXPECT_EQ(analysis.retention.holders[0].site, keep);
  EXPECT_EQ(analysis.retention.trimmable_bytes, 0u);  // a live block in every page: fragmentation that no setting fixes
  const std::uint64_t held = analysis.retention.holders[0].held_bytes, pinned = analysis.retention.pinned_bytes;
  EXPECT_LE(held, pinned);
  EXPECT_LT(pinned - held, 2 * analysis.retention.holders[0].blocks);  // shares are whole bytes: one or two lost a page
  EXPECT_EQ(pinned, 2000u * 19 * 112 - 19 * 112);
  EXPECT_TRUE(has(analysis, "shared_pages"));
}

TEST(Thresholds, FollowTheLargestMmappedBlockFreedUntilFrozen) {
  SyntheticRecording recording;
  recording.malloc(1 << 20, 0x7e0000000010).flags = trace::kChunkMmapped;
  recording.free(0x7e0000000010).flags = trace::kChunkMmapped;
  EXPECT_EQ(attribute(recording, recording.info).thresholds.mmap_threshold, (1u << 20) + 4096u);
  EXPECT_EQ(attribute(recording, recording.info).thresholds.trim_threshold, 2 * ((1u << 20) + 4096u));
  recording.info.tunables = "glibc.malloc.top_pad=4096";
  const ThresholdState frozen = attribute(recording, recording.info).thresholds;
  EXPECT_TRUE(frozen.frozen);
  EXPECT_EQ(frozen.mmap_threshold, 128u * 1024);
}

// rounds times: malloc(1 MiB) with a mapping of its own, every page touched, freed.
SyntheticRecording* mmap_storm(int rounds) {
  auto* recording = new SyntheticRecording;
  const trace::StackId site = recording->stack({0x555555554111});
  constexpr std::uint64_t kBlock = 0x7e0000000000, kBytes = 1 << 20;
  for (int i = 0; i < rounds; ++i) {
    trace::HeapEvent& event = recording->malloc(kBytes, kBlock + 16);
    event.stack = site;
    event.flags = trace::kChunkMmapped;
    recording->call(CallKind::mmap, 0, kBytes + 4096, 3, static_cast<std::int64_t>(kBlock));
    recording->call_list.back().args[3] = 0x22;
    for (std::uint64_t page = 0; page <= kBytes / 4096; ++page) recording->fault(event.end_ns + 1 + page, kBlock + page * 4096 + (page == 0 ? 64 : 8));
    recording->now_ns += 1000;
    recording->free(kBlock + 16).flags = trace::kChunkMmapped;
    recording->call(CallKind::munmap, kBlock, kBytes + 4096, 0, 0);
  }
  return recording;
}

TEST(Findings, AnMmapStormIsChurnWithItsPrice) {
  const std::unique_ptr<SyntheticRecording> recording(mmap_storm(400));
  const Analysis analysis = analyze(*recording, recording->info, "x.fl");
  ASSERT_TRUE(has(analysis, "mmap_churn"));
  const Finding& finding = analysis.findings.front();
  EXPECT_EQ(finding.id, "mmap_churn");
  // 257 faults of 500 ns, mmap and munmap of 600 ns, 257 pages unmapped at 50 ns, 400 times.
  EXPECT_DOUBLE_EQ(finding.cost_ns, 400 * (257 * 500.0 + 1200 + 257 * 50.0));
  EXPECT_EQ(finding.next, "faultline advise x.fl");
  const auto row = std::find_if(analysis.sites.begin(), analysis.sites.end(), [](const SiteRow& site) { return site.counters.mmapped_calls > 0; });
  ASSERT_NE(row, analysis.sites.end());
  EXPECT_EQ(row->counters.minor_faults, 400u * 257);
  EXPECT_EQ(row->counters.distinct_pages, 257u);
  EXPECT_EQ(row->counters.memory_calls[static_cast<std::size_t>(CallKind::mmap)], 400u);
  EXPECT_EQ(row->counters.memory_calls[static_cast<std::size_t>(CallKind::munmap)], 400u);
}

TEST(Findings, TheSameStormUnderALoneTunableBlamesTheFrozenThreshold) {
  const std::unique_ptr<SyntheticRecording> recording(mmap_storm(400));
  recording->info.tunables = "glibc.malloc.trim_threshold=1073741824";
  EXPECT_TRUE(has(analyze(*recording, recording->info, "x.fl"), "frozen_threshold"));
  recording->info.tunables += ":glibc.malloc.mmap_threshold=1073741824";
  EXPECT_FALSE(has(analyze(*recording, recording->info, "x.fl"), "frozen_threshold"));
}

TEST(Findings, TrimAndRegrowIsChurn) {
  SyntheticRecording recording;
  const trace::StackId site = recording.stack({0x555555554111});
  for (int i = 0; i < 200; ++i) {
    trace::HeapEvent& event = recording.malloc(100000, kHeap + 0x10);
    event.stack = site;
    move_break(recording, 40 * 4096);
    for (std::uint64_t page = 0; page < 25; ++page) recording.fault(event.end_ns + 1 + page, kHeap + page * 4096 + 64);
    recording.now_ns += 100;
    recording.free(kHeap + 0x10);
    move_break(recording, 4096);
  }
  const Analysis analysis = analyze(recording, recording.info, "x.fl");
  EXPECT_EQ(analysis.attribution.calls.brk_shrinks, 200u);
  EXPECT_EQ(analysis.attribution.calls.brk_regrown_bytes, 199u * 39 * 4096);
  EXPECT_FALSE(has(analysis, "trim_churn"));  // 2.6 ms are 0.3 % of 0.9 s CPU
  recording.meta_data.user_ns = 50'000'000;
  recording.meta_data.system_ns = 50'000'000;
  EXPECT_TRUE(has(analyze(recording, recording.info, "x.fl"), "trim_churn"));
  recording.call_list.clear();  // no tracepoints: the repeated faults alone say it
  EXPECT_TRUE(has(analyze(recording, recording.info, "x.fl"), "trim_churn"));
}

TEST(Findings, AFreeTopFarAboveTheTrimThresholdIsSaid) {
  SyntheticRecording recording;
  recording.malloc(100, kHeap + 0x10);
  move_break(recording, 64 << 20);
  recording.malloc(1 << 20, kHeap + 0x80);
  recording.free(kHeap + 0x80);
  EXPECT_TRUE(has(analyze(recording, recording.info, "x.fl"), "untrimmed_top"));
  recording.info.tunables = "glibc.malloc.trim_threshold=1073741824:glibc.malloc.mmap_threshold=1073741824";
  EXPECT_FALSE(has(analyze(recording, recording.info, "x.fl"), "untrimmed_top"));  // that is what was asked for
}

TEST(Findings, AQuietProgramHasNothingToGain) {
  SyntheticRecording recording;
  recording.malloc(100, kHeap + 0x2a0);
  move_break(recording, 0x21000);
  recording.fault(recording.events.back().end_ns + 5, kHeap + 0x2b0);
  const Analysis analysis = analyze(recording, recording.info, "x.fl");
  ASSERT_EQ(analysis.findings.size(), 1u);
  EXPECT_EQ(analysis.findings[0].id, "nothing_to_gain");
}

TEST(Findings, EveryFileOfTheFolderIsRegistered) { EXPECT_EQ(Registry<FindingDescriptor>::instance().entries().size(), std::size_t{FINDING_FILES}); }

}  // namespace
}  // namespace faultline::analyze
