// The wire decoder: every record kind, decoder state, and arbitrary bytes.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "trace/file_format.h"
#include "trace/wire_decoder.h"
#include "unit/trace_wire_writer.h"

namespace faultline::trace {
namespace {

using test::WireWriter;
using wire::RecordKind;

std::uint64_t seed() {
  const char* text = std::getenv("FAULTLINE_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : 20240611;
}

struct Side : SideRecords {
  std::vector<TouchObservation> touches;
  std::vector<Module> modules;
  std::vector<MemoryCall> calls;
  std::string texts;
  void touch(TouchObservation&& t) override { touches.push_back(std::move(t)); }
  void module(Module&& m) override { modules.push_back(std::move(m)); }
  void call(const MemoryCall& c) override { calls.push_back(c); }
  void text(RecordKind, std::string_view value) override { texts += value; }
};

struct Decoded {
  std::vector<HeapEvent> events;
  Side side;
  StackTable stacks;
  std::string error;
};

void decode(const std::vector<std::vector<std::uint8_t>>& blocks, Decoded& out) {
  const TickClock clock({{0, 0}, {1'000'000'000, 1'000'000'000}});  // a tick is a nanosecond
  WireDecoder decoder(out.stacks, clock, &out.side);
  HeapEvent event;
  for (const auto& block : blocks) {
    decoder.feed(block);
    while (decoder.next(event)) out.events.push_back(event);
  }
  out.error = decoder.error();
}

TEST(WireDecoder, EveryOperation) {
  WireWriter w;
  w.thread(1000, 77);
  w.event(RecordKind::malloc, 1100, 0, {24}, {0x5000});
  w.event(RecordKind::calloc, 1200, 700, {3, 8}, {0x6000}, 1);
  w.event(RecordKind::realloc, 2000, 0, {100}, {0x5000, 0x7000});
  w.event(RecordKind::memalign, 2100, 0, {64, 4096}, {0x8000}, 2);
  w.event(RecordKind::pvalloc, 2200, 0, {64}, {0x9000});
  w.event(RecordKind::free, 2300, 0, {}, {0x6000}, 1);
  w.head(RecordKind::mallopt);
  w.number(10);  // tick 2310
  w.number(wire::zigzag(-3));
  w.number(wire::zigzag(-1));
  w.number(1);
  w.head(RecordKind::malloc_trim, wire::kNoStack);
  w.number(5);
  w.number(4096);
  w.number(1);
  Decoded d;
  decode({w.bytes}, d);
  ASSERT_EQ(d.error, "");
  ASSERT_EQ(d.events.size(), 8u);
  EXPECT_EQ(d.events[0].begin_ns, 1100u);
  EXPECT_EQ(d.events[0].end_ns, 1100u);
  EXPECT_EQ(d.events[0].tid, 77);
  EXPECT_EQ(d.events[0].result, 0x5000u);
  EXPECT_EQ(d.events[1].a, 3u);
  EXPECT_EQ(d.events[1].b, 8u);
  EXPECT_EQ(d.events[1].end_ns, 1900u);
  EXPECT_EQ(d.events[1].flags, kChunkMmapped);
  EXPECT_EQ(d.events[2].b, 0x5000u);
  EXPECT_EQ(d.events[2].result, 0x7000u);
  EXPECT_EQ(d.events[3].b, 4096u);
  EXPECT_EQ(d.events[3].flags, kChunkNonMain);
  EXPECT_EQ(d.events[4].op, HeapOp::pvalloc);
  EXPECT_EQ(d.events[5].op, HeapOp::free);
  EXPECT_EQ(d.events[5].b, 0x6000u);
  EXPECT_EQ(d.events[5].result, 0u);
  EXPECT_EQ(static_cast<std::int64_t>(d.events[6].a), -3);
  EXPECT_EQ(static_cast<std::int64_t>(d.events[6].b), -1);
  EXPECT_EQ(d.events[6].result, 1u);
  EXPECT_EQ(d.events[7].a, 4096u);
  EXPECT_EQ(d.events[7].begin_ns, 2315u);
}

TEST(WireDecoder, StacksLiveInSlotsUntilTheNextThread) {
  const std::vector<std::uint64_t> first{0x401000, 0x400800, 0x7f0000001234}, second{0x401000};
  WireWriter w;
  w.thread(0, 1);
  w.event_with_stack(RecordKind::malloc, 10, 8, 0x1000, 4095, &first);
  w.event_with_stack(RecordKind::malloc, 20, 8, 0x2000, 4095, nullptr);
  w.event_with_stack(RecordKind::malloc, 30, 8, 0x3000, 4095, &second);
  w.event_with_stack(RecordKind::malloc, 40, 8, 0x4000, 4095, nullptr);
  Decoded d;
  decode({w.bytes}, d);
  ASSERT_EQ(d.error, "");
  ASSERT_EQ(d.events.size(), 4u);
  EXPECT_EQ(d.events[0].stack, d.events[1].stack);
  EXPECT_EQ(d.events[2].stack, d.events[3].stack);
  EXPECT_NE(d.events[0].stack, d.events[2].stack);
  const auto frames = d.stacks.frames(d.events[1].stack);
  EXPECT_EQ(std::vector<std::uint64_t>(frames.begin(), frames.end()), first);

  w.thread(50, 2);
  w.event_with_stack(RecordKind::malloc, 60, 8, 0x4000, 4095, nullptr);
  Decoded again;
  decode({w.bytes}, again);
  EXPECT_EQ(again.events.size(), 4u);
  EXPECT_NE(again.error.find("never defined"), std::string::npos) << again.error;
}

TEST(WireDecoder, StateGoesOnFromBlockToBlock) {
  WireWriter w;
  w.thread(100, 1);
  w.event(RecordKind::malloc, 200, 0, {8}, {0x1000});
  std::vector<std::vector<std::uint8_t>> blocks{w.bytes};
  w.bytes.clear();
  w.event(RecordKind::malloc, 300, 0, {8}, {0x1010});
  blocks.push_back(w.bytes);
  Decoded d;
  decode(blocks, d);
  ASSERT_EQ(d.events.size(), 2u);
  EXPECT_EQ(d.events[1].begin_ns, 300u);
  EXPECT_EQ(d.events[1].result, 0x1010u);
}

TEST(WireDecoder, SideRecords) {
  WireWriter w;
  w.thread(0, 5);
  w.text(RecordKind::start, "exe=/bin/x\n");
  w.module(0x400000, 0x500000, 0, "/bin/x", "abcd");
  w.touch(RecordKind::touch, 0x10000, {1, 2, 3});
  w.contents(0x10010, 0, {2u << 16 | 0x3000 | 63u << 6 | 5, 1u << 16, 3u << 16 | 0xe000});
  w.event(RecordKind::free, 500, 0, {}, {0x10010});
  w.call(600, 50, 1, {0, 4096, 3, 0x22, ~std::uint64_t{0}, 0}, -12);
  w.touch(RecordKind::exit_touch, 0x20000, {7});
  w.contents(0x30010, 1, {1u << 16 | 0x3041});
  Decoded d;
  decode({w.bytes}, d);
  ASSERT_EQ(d.error, "");
  ASSERT_EQ(d.side.touches.size(), 4u);
  const TouchObservation contents = d.side.touches[1], at_the_end = d.side.touches[3];
  d.side.touches.erase(d.side.touches.begin() + 1);
  EXPECT_EQ(contents.address, 0x10010u);
  EXPECT_EQ(contents.time_ns, 500u);
  ASSERT_EQ(contents.contents.size(), 3u);
  EXPECT_EQ(contents.contents[0].pages, 2u);
  EXPECT_TRUE(contents.contents[0].changed);
  EXPECT_EQ(contents.contents[0].first, 5u);
  EXPECT_EQ(contents.contents[0].last, 63u);
  EXPECT_TRUE(contents.contents[0].compared && !contents.contents[0].zero);
  EXPECT_FALSE(contents.contents[1].compared);
  EXPECT_TRUE(contents.contents[2].compared && contents.contents[2].zero && contents.contents[2].cleared && !contents.contents[2].changed);
  EXPECT_TRUE(at_the_end.at_exit);
  EXPECT_EQ(at_the_end.contents.at(0).last, 1u);
  EXPECT_EQ(d.side.touches[0].time_ns, 500u);
  EXPECT_EQ(d.side.touches[0].runs, (std::vector<std::uint32_t>{1, 2, 3}));
  EXPECT_FALSE(d.side.touches[0].at_exit);
  EXPECT_TRUE(d.side.touches[1].at_exit);
  EXPECT_EQ(d.side.touches[1].time_ns, 650u);
  ASSERT_EQ(d.side.calls.size(), 1u);
  EXPECT_EQ(d.side.calls[0].kind, CallKind::mmap);
  EXPECT_EQ(d.side.calls[0].args[4], ~std::uint64_t{0});
  EXPECT_EQ(d.side.calls[0].result, -12);
  EXPECT_EQ(d.side.calls[0].end_ns, 650u);
  ASSERT_EQ(d.side.modules.size(), 1u);
  EXPECT_EQ(d.side.modules[0].path, "/bin/x");
  EXPECT_EQ(d.side.texts, "exe=/bin/x\n");

  WireSummary summary;
  std::uint64_t tick = 0;
  ASSERT_TRUE(summarize_wire(w.bytes, tick, summary));
  EXPECT_EQ(summary.events, 1u);
  EXPECT_EQ(summary.flags, kHasStart | kHasModules | kHasTouches | kHasCalls);
  EXPECT_EQ(summary.first_tick, 0u);
  EXPECT_EQ(summary.last_tick, 650u);
  EXPECT_EQ(tick, 650u);
}

// A signal handler's call can be written before the call it interrupted: the clock steps back in the stream.
TEST(WireDecoder, TicksAreModular) {
  WireWriter w;
  w.thread(1000, 1);
  w.event(RecordKind::malloc, 2000, 0, {8}, {0x1000});
  w.event(RecordKind::malloc, 1500, 0, {8}, {0x2000});
  Decoded d;
  decode({w.bytes}, d);
  ASSERT_EQ(d.events.size(), 2u);
  EXPECT_EQ(d.events[1].begin_ns, 1500u);
}

TEST(WireDecoder, ArbitraryBytesGiveRecordsOrOneError) {
  std::mt19937_64 random(seed());
  SCOPED_TRACE(testing::Message() << "FAULTLINE_SEED=" << seed());
  WireWriter good;
  good.thread(5, 3);
  const std::vector<std::uint64_t> frames{1, 2, 3};
  for (std::uint64_t i = 0; i < 20; ++i) {
    good.event_with_stack(RecordKind::malloc, 10 + i, i, i * 16, static_cast<unsigned>(i), &frames);
    good.touch(RecordKind::touch, i << 12, {i, 1, i});
    good.event(RecordKind::free, 20 + i, 0, {}, {i * 16});
  }
  std::uint64_t events = 0, errors = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> bytes = good.bytes;
    if (round % 3 == 0) {
      bytes.resize(random() % 200);
      for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random());
      if (round % 2 == 0) bytes.insert(bytes.begin(), {1, 5, 3});  // so that events are allowed
    } else {
      for (std::uint64_t i = random() % 4; i < 4; ++i) bytes[random() % bytes.size()] = static_cast<std::uint8_t>(random());
      if (round % 5 == 0) bytes.resize(random() % bytes.size());
    }
    Decoded d;
    decode({bytes}, d);
    events += d.events.size();
    errors += d.error.empty() ? 0 : 1;
    // The walk by shape sees at least as far as the decoder, and counts the same on whole input.
    WireSummary summary;
    std::uint64_t tick = 0;
    const bool whole = summarize_wire(bytes, tick, summary);
    if (d.error.empty()) {
      ASSERT_TRUE(whole);
      ASSERT_EQ(summary.events, d.events.size());
    }
  }
  EXPECT_GT(events, 1000u);
  EXPECT_GT(errors, 1000u);
}

}  // namespace
}  // namespace faultline::trace
