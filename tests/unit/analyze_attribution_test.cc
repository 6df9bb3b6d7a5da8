// The streaming attribution against a naive one that looks at every event for every fault, on random streams.
#include "analyze/attribution.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include "base/units.h"
#include "support/synthetic_recording.h"

namespace faultline::analyze {
namespace {

using testing::SyntheticRecording;
using trace::HeapEvent;
using trace::HeapOp;

constexpr std::uint64_t kBreak = 0x555555559000;
constexpr std::uint64_t kHeapSpan = 256 * 1024;
constexpr std::uint64_t kArena = 0x7e0000000000;   // 64 MiB aligned
constexpr std::uint64_t kMapped = 0x7d0000000000;  // malloc's own mappings and the program's
constexpr std::uint64_t kArenaHeapBytes = std::uint64_t{64} << 20;

std::uint64_t seed() {
  const char* given = std::getenv("FAULTLINE_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
}

bool is_allocation(const HeapEvent& event) { return event.op != HeapOp::free && event.result != 0; }
std::uint64_t size_of(const HeapEvent& event) { return event.op == HeapOp::calloc ? event.a * event.b : event.a; }

// Times: events begin at multiples of 10 plus 1 and end at multiples of 10 plus 5; faults end in 3, 7 or 9: no ties.
class Stream {
 public:
  explicit Stream(std::uint64_t random_seed) : random_(random_seed) {
    std::vector<HeapEvent> events;
    const int threads = 1 + static_cast<int>(random_() % 3);
    for (int t = 0; t < threads; ++t) {
      std::uint64_t now = 1000;
      for (int i = 0; i < 120; ++i) {
        HeapEvent event;
        now += 10 * (1 + random_() % 20);
        event.begin_ns = now + 1;
        if (random_() % 2 == 0) now += 10 * (random_() % 30);
        event.end_ns = random_() % 4 == 0 ? event.begin_ns : now + 5;
        if (event.end_ns < event.begin_ns) event.end_ns = event.begin_ns;
        event.tid = 100 + t;
        event.op = random_() % 5 < 2 ? HeapOp::free : random_() % 4 == 0 ? HeapOp::realloc : random_() % 2 == 0 ? HeapOp::malloc : HeapOp::calloc;
        event.stack = static_cast<trace::StackId>(random_() % 8);
        events.push_back(event);
      }
    }
    std::stable_sort(events.begin(), events.end(), [](const auto& x, const auto& y) { return x.order_ns() < y.order_ns(); });
    std::map<std::uint64_t, std::pair<std::uint64_t, std::uint8_t>> live;
    const auto any_live = [&] {
      auto at = live.begin();
      std::advance(at, static_cast<long>(random_() % live.size()));
      return at;
    };
    for (HeapEvent& event : events) {
      if (event.op == HeapOp::free) {
        event.b = live.empty() || random_() % 20 == 0 ? kBreak + 8 : any_live()->first;
        if (live.count(event.b) != 0) event.flags = live[event.b].second;
        live.erase(event.b);
        continue;
      }
      if (event.op == HeapOp::realloc && !live.empty() && random_() % 4 != 0) event.b = any_live()->first;
      const bool fails = random_() % 20 == 0;
      event.a = random_() % 3 == 0 ? random_() % 20000 : random_() % 300;
      if (event.op == HeapOp::calloc) {
        event.b = 1 + random_() % 3;
      }
      if (event.op == HeapOp::realloc && event.b != 0 && event.a != 0 && !fails) live.erase(event.b);
      if (event.op == HeapOp::realloc && event.a == 0 && event.b != 0) {
        live.erase(event.b);
        continue;
      }
      if (fails) continue;
      place(event, live);
    }
    recording.events = std::move(events);
    recording.info.initial_brk = kBreak;
    const std::uint64_t last = 1000 + 10 * 120 * 50;
    std::uint64_t now = 0;
    while (now < last) {
      now += 10 * (1 + random_() % 400);
      trace::MemoryCall call;
      call.kind = trace::CallKind::brk;
      call.tid = 100 + static_cast<trace::Tid>(random_() % 3);
      call.begin_ns = call.end_ns = now + 2;
      call.result = static_cast<std::int64_t>(kBreak + page_floor(random_() % (kHeapSpan + 1)));
      recording.call_list.push_back(call);
      if (random_() % 4 == 0) {
        call.kind = trace::CallKind::mmap;
        call.begin_ns = call.end_ns = now + 4;
        call.args[1] = 4096 * (1 + random_() % 64);
        call.args[3] = random_() % 2 == 0 ? 0x22 : 0x2;
        call.result = static_cast<std::int64_t>(kMapped + page_floor(random_() % (1 << 20)));
        recording.call_list.push_back(call);
      }
    }
    for (int i = 0; i < 600; ++i) {
      trace::FaultEvent fault;
      static constexpr std::uint64_t kEnds[] = {3, 7, 9};
      fault.time_ns = 10 * (random_() % (last / 10)) + kEnds[random_() % 3];
      fault.tid = 100 + static_cast<trace::Tid>(random_() % 3);
      fault.kind = random_() % 8 == 0 ? trace::FaultKind::major : trace::FaultKind::minor;
      static constexpr std::uint64_t kIps[] = {SyntheticRecording::kLibc + 0x1234, SyntheticRecording::kProgram + 0x100, 0xffffffff81000000, 0x1234};
      fault.ip = kIps[random_() % 4];
      switch (random_() % 8) {
        case 0: fault.address = SyntheticRecording::kRecorder + random_() % 4096; break;
        case 1: fault.address = kMapped + random_() % (1 << 20); break;
        case 2: fault.address = kArena + random_() % 65536; break;
        case 3: fault.address = 0x7ffffffde000 - random_() % 100000; break;
        case 4: fault.address = SyntheticRecording::kLibc + random_() % 0x200000; break;
        default: fault.address = kBreak + random_() % kHeapSpan; break;
      }
      recording.fault_list.push_back(fault);
    }
    std::stable_sort(recording.fault_list.begin(), recording.fault_list.end(), [](const auto& x, const auto& y) { return x.time_ns < y.time_ns; });
  }

  SyntheticRecording recording;

 private:
  std::mt19937_64 random_;

  void place(HeapEvent& event, std::map<std::uint64_t, std::pair<std::uint64_t, std::uint8_t>>& live) {
    const std::uint64_t bytes = std::max<std::uint64_t>(size_of(event), 1);
    for (int attempt = 0; attempt < 50; ++attempt) {
      std::uint64_t address = kBreak + 16 + random_() % kHeapSpan;
      event.flags = 0;
      if (const auto kind = random_() % 6; kind == 0) {
        address = kMapped + random_() % (1 << 20);
        event.flags = trace::kChunkMmapped;
      } else if (kind == 1) {
        address = kArena + 0x1000 + random_() % 65536;
        event.flags = trace::kChunkNonMain;
      }
      address &= ~std::uint64_t{15};
      auto next = live.lower_bound(address);
      if (next != live.end() && next->first < address + bytes) continue;
      if (next != live.begin() && std::prev(next)->first + std::max<std::uint64_t>(std::prev(next)->second.first, 1) > address) continue;
      event.result = address;
      live[address] = {size_of(event), event.flags};
      return;
    }
    event.flags = 0;
  }
};

struct NaiveSite {
  std::uint64_t calls = 0, bytes = 0, live = 0, at_peak = 0, own_peak = 0, temporary = 0;
  std::uint64_t minor = 0, major = 0, own = 0;
  std::set<std::uint64_t> pages;
};

struct NaiveBlock {
  std::uint64_t address = 0, bytes = 0, from = 0, to = ~std::uint64_t{0};  // order times
  trace::StackId site = 0;
  std::uint8_t flags = 0;
};

class Naive {
 public:
  explicit Naive(SyntheticRecording& recording) : recording_(recording) {
    live_history();
    for (const trace::FaultEvent& fault : recording.fault_list) attribute(fault);
  }

  std::map<trace::StackId, NaiveSite> sites;
  std::uint64_t region_minor[kRegionCount] = {}, region_major[kRegionCount] = {}, repeated[kRegionCount] = {};
  std::uint64_t peak = 0;

 private:
  SyntheticRecording& recording_;
  std::vector<NaiveBlock> blocks_;
  std::map<std::size_t, trace::StackId> freed_site_;  // event index -> site of the block it freed
  std::set<std::uint64_t> pages_;

  bool end_block(std::uint64_t address, std::uint64_t time, trace::StackId* site) {
    for (NaiveBlock& block : blocks_) {
      if (block.address != address || block.to != ~std::uint64_t{0}) continue;
      block.to = time;
      sites[block.site].live -= block.bytes;
      if (site != nullptr) *site = block.site;
      return true;
    }
    return false;
  }

  void live_history() {
    const auto& events = recording_.events;
    for (std::size_t i = 0; i < events.size(); ++i) {
      const HeapEvent& event = events[i];
      if (event.op == HeapOp::free) {
        trace::StackId site = kNoSite;
        if (end_block(event.b, event.order_ns(), &site)) {
          freed_site_[i] = site;
          std::size_t before = i;
          while (before > 0 && events[before - 1].tid != event.tid) --before;
          if (before > 0 && is_allocation(events[before - 1]) && events[before - 1].result == event.b) ++sites[site].temporary;
        }
      } else {
        if (event.op == HeapOp::realloc && event.b != 0 && (event.result != 0 || event.a == 0)) end_block(event.b, event.order_ns(), nullptr);
        if (event.result != 0) {
          blocks_.push_back({event.result, size_of(event), event.order_ns(), ~std::uint64_t{0}, event.stack, event.flags});
          NaiveSite& site = sites[event.stack];
          ++site.calls;
          site.bytes += size_of(event);
          site.live += size_of(event);
          site.own_peak = std::max(site.own_peak, site.live);
        }
      }
      std::uint64_t now = 0;
      for (const auto& [id, site] : sites) now += site.live;
      if (now > peak) {
        peak = now;
        for (auto& [id, site] : sites) site.at_peak = site.live;
      }
    }
  }

  Region mapping_at(std::uint64_t address, std::uint64_t time) const {
    if (address >= SyntheticRecording::kRecorder && address < SyntheticRecording::kRecorderEnd) return Region::recorder;
    std::uint64_t heap_end = kBreak;
    Region region = Region::unknown;
    for (const trace::MemoryCall& call : recording_.call_list) {
      if (call.end_ns > time) continue;
      const auto result = static_cast<std::uint64_t>(call.result);
      if (call.kind == trace::CallKind::brk) heap_end = result;
      if (call.kind == trace::CallKind::mmap && address >= result && address < result + call.args[1]) {
        region = call.args[3] == 0x22 ? Region::program_mapping : Region::file_mapping;
      }
    }
    if (address >= kBreak && address < heap_end) return Region::heap_free;
    for (const HeapEvent& event : recording_.events) {
      if (event.order_ns() < time && is_allocation(event) && event.flags == trace::kChunkNonMain &&
          event.result / kArenaHeapBytes == address / kArenaHeapBytes) {
        return Region::heap_free;
      }
    }
    if (region != Region::unknown) return region;
    if (address >= SyntheticRecording::kLibc && address < SyntheticRecording::kLibcEnd) return Region::module;
    if (address >= 0x7ffffffff000 - (8 << 20) && address < 0x7ffffffff000) return Region::stack;
    return Region::unknown;
  }

  void attribute(const trace::FaultEvent& fault) {
    Region region = mapping_at(fault.address, fault.time_ns);
    trace::StackId site = kNoSite;
    bool own = false;
    if (region != Region::recorder) {
      for (const NaiveBlock& block : blocks_) {
        if (block.from >= fault.time_ns || block.to < fault.time_ns) continue;
        if (fault.address < block.address || fault.address >= block.address + std::max<std::uint64_t>(block.bytes, 1)) continue;
        region = block.flags == trace::kChunkMmapped ? Region::mmapped_chunk : Region::heap_block;
        site = block.site;
      }
      const bool program_code = fault.ip >= SyntheticRecording::kProgram && fault.ip < SyntheticRecording::kProgramEnd;
      for (std::size_t i = 0; i < recording_.events.size(); ++i) {
        const HeapEvent& event = recording_.events[i];
        if (event.tid != fault.tid || event.end_ns <= event.begin_ns || fault.time_ns < event.begin_ns || fault.time_ns > event.end_ns) continue;
        const bool mmapped = event.op != HeapOp::free && (event.flags & trace::kChunkMmapped) != 0;
        const bool inside = is_allocation(event) && fault.address >= event.result && fault.address < event.result + std::max<std::uint64_t>(size_of(event), 1);
        const Region block_region = mmapped ? Region::mmapped_chunk : Region::heap_block;
        if (program_code) {
          if (inside) {
            region = block_region;
            site = event.stack;
          }
          continue;
        }
        own = true;
        site = event.stack;
        if (event.op == HeapOp::free && freed_site_.count(i) != 0) site = freed_site_[i];
        const bool header = is_allocation(event) && mmapped && fault.address / 4096 == (event.result - 16) / 4096;
        if (inside || header) region = block_region;
        else if (region == Region::program_mapping || region == Region::unknown) region = mmapped ? Region::mmapped_chunk : Region::heap_free;
      }
    }
    const bool minor = fault.kind == trace::FaultKind::minor;
    const auto index = static_cast<std::size_t>(region);
    ++(minor ? region_minor : region_major)[index];
    if (!pages_.insert(fault.address / 4096).second) ++repeated[index];
    if (site == kNoSite) return;
    NaiveSite& row = sites[site];
    ++(minor ? row.minor : row.major);
    if (own) ++row.own;
    row.pages.insert(fault.address / 4096);
  }
};

TEST(Attribution, AgreesWithTheNaiveOneOnRandomStreams) {
  const std::uint64_t start = seed();
  SCOPED_TRACE(::testing::Message() << "FAULTLINE_TEST_SEED=" << start);
  std::uint64_t in_blocks = 0, by_malloc = 0;
  for (std::uint64_t round = 0; round < 150; ++round) {
    SCOPED_TRACE(::testing::Message() << "round " << round);
    Stream stream(start + round);
    const Naive naive(stream.recording);
    const Attribution found = attribute(stream.recording, stream.recording.info);
    EXPECT_EQ(found.sites.peak_bytes(), naive.peak);
    for (std::size_t i = 0; i < kRegionCount; ++i) {
      SCOPED_TRACE(region_key(static_cast<Region>(i)));
      EXPECT_EQ(found.regions[i].minor_faults, naive.region_minor[i]);
      EXPECT_EQ(found.regions[i].major_faults, naive.region_major[i]);
      EXPECT_EQ(found.regions[i].repeated_faults, naive.repeated[i]);
    }
    in_blocks += naive.region_minor[0];
    for (const auto& [id, expected] : naive.sites) {
      SCOPED_TRACE(::testing::Message() << "site " << id);
      ASSERT_LT(id, found.sites.sites().size());
      const SiteCounters& site = found.sites.sites()[id];
      EXPECT_EQ(site.calls, expected.calls);
      EXPECT_EQ(site.allocated_bytes, expected.bytes);
      EXPECT_EQ(site.live_bytes, expected.live);
      EXPECT_EQ(site.at_peak_bytes, expected.at_peak);
      EXPECT_EQ(site.own_peak_bytes, expected.own_peak);
      EXPECT_EQ(site.temporary, expected.temporary);
      EXPECT_EQ(site.minor_faults, expected.minor);
      EXPECT_EQ(site.major_faults, expected.major);
      EXPECT_EQ(site.allocator_faults, expected.own);
      EXPECT_EQ(site.distinct_pages, expected.pages.size());
      by_malloc += expected.own;
    }
    if (HasFailure()) return;
  }
  EXPECT_GT(in_blocks, 1000u);  // the streams do exercise both
  EXPECT_GT(by_malloc, 1000u);
}

TEST(Attribution, AFaultInsideCallocBelongsToItsCallerAndIsMarked) {
  SyntheticRecording recording;
  recording.call_list.push_back({.begin_ns = 10, .end_ns = 20, .args = {}, .result = static_cast<std::int64_t>(kBreak + 0x21000), .tid = 100, .kind = trace::CallKind::brk});
  const trace::StackId site = recording.stack({0x555555554100});
  recording.add(HeapOp::calloc, 1, 8192, kBreak + 0x2a0).stack = site;
  const HeapEvent event = recording.events.back();
  recording.fault(event.begin_ns + 10, kBreak + 0x1000);
  recording.fault_list.back().ip = SyntheticRecording::kLibc + 1;
  recording.fault(event.end_ns + 10, kBreak + 0x2000);
  recording.fault_list.back().ip = SyntheticRecording::kProgram + 1;
  const Attribution found = attribute(recording, recording.info);
  EXPECT_EQ(found.sites.sites()[site].minor_faults, 2u);
  EXPECT_EQ(found.sites.sites()[site].allocator_faults, 1u);
  EXPECT_EQ(found.regions[static_cast<std::size_t>(Region::heap_block)].minor_faults, 2u);
}

TEST(Attribution, WhatTheRecordersCodeTouchesIsNotTheProgramsFault) {
  SyntheticRecording recording;
  recording.malloc(100, kBreak + 0x2a0);
  recording.fault(recording.now_ns + 700, SyntheticRecording::kLibc + 0x1000);
  recording.fault_list.back().ip = SyntheticRecording::kRecorder + 0x10;
  recording.fault(recording.now_ns + 800, SyntheticRecording::kLibc + 0x2000);
  recording.fault_list.back().ip = SyntheticRecording::kProgram + 0x10;
  const Attribution found = attribute(recording, recording.info);
  EXPECT_EQ(found.regions[static_cast<std::size_t>(Region::recorder)].minor_faults, 1u);
  EXPECT_EQ(found.regions[static_cast<std::size_t>(Region::module)].minor_faults, 1u);
}

}  // namespace
}  // namespace faultline::analyze
