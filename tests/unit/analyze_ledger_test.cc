// Ledgers whose answer is known by construction: what each page is counted as, that all of it adds up, moments as people write them.
#include <gtest/gtest.h>

#include <map>

#include "analyze/ledger/ledger_builder.h"
#include "analyze/ledger/ledger_diff.h"
#include "analyze/ledger/ledger_moment.h"
#include "heap/on/flat_memory.h"
#include "replay/follow/exit_look.h"

namespace faultline::analyze {
namespace {

using heap::Address;
using replay::MemoryLook;
using replay::PageRun;
using replay::PageUse;

constexpr std::uint64_t kFile = 0x7f0000000000, kStack = 0x7ffffff00000, kOwn = 0x7e0000000000, kRecorder = 0x7d0000000000;
constexpr std::uint64_t pages(std::uint64_t n) { return n * kPageSize; }

// A heap of two blocks and a mapped one; and what is around it.
class LedgerTest : public ::testing::Test {
 protected:
  heap::FlatMemory memory_;
  heap::Heap<heap::FlatMemory> heap_{memory_, {}};
  std::map<Address, heap::BlockFacts> blocks_;
  MemoryLook look_;

  Address malloc(std::uint64_t size, heap::OwnerId owner) {
    const Address user = heap_.malloc(1, size);
    blocks_[user] = {size, owner};
    return user;
  }
  heap::HeapImage image() {
    return heap::image_of(
        heap_, memory_.sbrk(0), [&](Address user) { return blocks_.contains(user) ? std::optional(blocks_[user]) : std::nullopt; }, [](Address) { return false; });
  }
  void map(std::uint64_t start, std::uint64_t count, const std::string& name = {}, bool file = false) {
    look_.mappings.push_back({.start = start, .end = start + pages(count), .name = name, .file = file});
  }
  void resident(std::uint64_t start, std::uint64_t count, PageUse use = PageUse::anonymous, bool huge = false) {
    look_.runs.push_back({start, start + pages(count), use, huge});
  }
  BuiltLedger build(heap::HeapImage* image) {
    look_.there = true;
    const auto by_start = [](const auto& x, const auto& y) { return x.start < y.start; };
    std::sort(look_.mappings.begin(), look_.mappings.end(), by_start);
    std::sort(look_.runs.begin(), look_.runs.end(), by_start);
    trace::ProcessInfo process;
    process.recorder_ranges = {{kRecorder, kRecorder + pages(8)}, {kRecorder + pages(1), kRecorder + pages(2)}};  // one within the other
    AddressMap areas(process, {}, true);
    trace::MemoryCall stack;
    stack.kind = trace::CallKind::mmap;
    stack.args[1] = pages(4);
    stack.args[3] = 0x20022;  // MAP_STACK
    stack.result = static_cast<std::int64_t>(kOwn + pages(16));
    areas.apply(stack);
    return build_ledger(look_, image, areas);
  }
};

TEST_F(LedgerTest, DividesTheHeapByWhatIsResident) {
  const Address big = malloc(pages(4) - 16, 7);  // a chunk of four pages, from 0x290 on
  malloc(100, 8);
  const Address heap_start = page_floor(big);
  heap::HeapImage seen = image();
  map(heap_start, 0x21);
  resident(heap_start, 1);              // 0x290 of malloc's own, the first part of the big block
  resident(heap_start + pages(4), 1);   // its end, the small block, top
  look_.start_of_break = heap_start;
  look_.program_break = heap_start + pages(0x21);
  const auto built = build(&seen);
  const Ledger& ledger = built.ledger;
  const std::uint64_t in_first = kPageSize - 0x2a0, in_last = 0x290;
  EXPECT_EQ(ledger.sum_bytes(), pages(2));
  EXPECT_EQ(ledger[LedgerPart::heap_own], 0x290U);
  EXPECT_EQ(ledger[LedgerPart::heap_live], in_first + in_last + 100);
  EXPECT_EQ(ledger.live_untouched_bytes, pages(4) - 16 + 100 - ledger[LedgerPart::heap_live]);
  EXPECT_EQ(ledger[LedgerPart::heap_top], kPageSize - 0x290 - 112);
  ASSERT_EQ(built.owners.size(), 2U);
  std::uint64_t of_sites = 0;
  for (const LedgerOwner& owner : built.owners) of_sites += owner.resident_bytes;
  EXPECT_EQ(of_sites, ledger[LedgerPart::heap_live]);
  EXPECT_EQ(ledger.live_blocks, 2U);
}

TEST_F(LedgerTest, AMappedBlockAndTheSlackOfItsHugePages) {
  const Address user = malloc(1 << 20, 9);  // 256 pages and one for the header
  heap::HeapImage seen = image();
  ASSERT_EQ(seen.mappings.size(), 1U);
  constexpr std::uint64_t kAway = std::uint64_t{1} << 40;
  seen.mappings[0].start += kAway;  // where it has room to be longer
  seen.mappings[0].user += kAway;
  seen.mappings[0].length = 512 * kPageSize;  // as glibc.malloc.hugetlb=1 has it: rounded to a huge page
  map(seen.mappings[0].start, 512);
  resident(seen.mappings[0].start, 512, PageUse::anonymous, true);
  const Ledger ledger = build(&seen).ledger;
  EXPECT_EQ(ledger[LedgerPart::mmapped_live], std::uint64_t{1} << 20);
  EXPECT_EQ(ledger[LedgerPart::thp_slack], pages(255));
  EXPECT_EQ(ledger[LedgerPart::mmapped_rounding], kPageSize);
  EXPECT_EQ(ledger.huge_bytes, pages(512));
  EXPECT_EQ(ledger.sum_bytes(), pages(512));
  EXPECT_EQ(user % kPageSize, 16U);
}

TEST_F(LedgerTest, EverythingElseByWhatItIs) {
  map(kFile, 8, "/lib/x.so", true);
  resident(kFile, 2, PageUse::file_clean);
  resident(kFile + pages(2), 1, PageUse::file_dirty);
  resident(kFile + pages(3), 3, PageUse::anonymous);
  map(kOwn, 20);
  resident(kOwn, 1);
  resident(kOwn + pages(16), 2);
  map(kStack, 4);
  look_.mappings.back().grows_down = true;
  resident(kStack + pages(3), 1);
  map(kRecorder, 8, "/memfd:faultline (deleted)", true);
  resident(kRecorder, 8, PageUse::shmem);
  map(kStack + pages(64), 2, "[vdso]", true);
  resident(kStack + pages(64), 1, PageUse::file_clean);
  const Ledger ledger = build(nullptr).ledger;
  EXPECT_EQ(ledger[LedgerPart::file_clean], pages(2));
  EXPECT_EQ(ledger[LedgerPart::file_dirty], pages(1));
  EXPECT_EQ(ledger[LedgerPart::file_private], pages(3));
  EXPECT_EQ(ledger[LedgerPart::anonymous], pages(1));
  EXPECT_EQ(ledger[LedgerPart::stack_threads], pages(2));
  EXPECT_EQ(ledger[LedgerPart::stack_main], pages(1));
  EXPECT_EQ(ledger[LedgerPart::recorder], pages(8));
  EXPECT_EQ(ledger[LedgerPart::kernel], pages(1));
  EXPECT_EQ(ledger.sum_bytes(), pages(19));
  ASSERT_EQ(ledger.files.size(), 1U);
  EXPECT_EQ(ledger.files[0].bytes(), pages(6));
}

TEST_F(LedgerTest, UndividedWhereMallocWasNotReplayed) {
  map(0x5000, 4);
  resident(0x5000, 3);
  look_.start_of_break = 0x5000;
  look_.program_break = 0x9000;
  EXPECT_EQ(build(nullptr).ledger[LedgerPart::heap_undivided], pages(3));
}

TEST(ExitLook, WhatTheProcessToldOfItself) {
  trace::ProcessInfo process;
  process.exit_seen = true;
  process.exit_report_ns = 5;
  process.initial_brk = 0x10000;
  process.exit_maps =
      "10000-20000 rw-p 00000000 00:00 0 [heap]\nRss: 12 kB\nAnonymous: 12 kB\n"
      "7f0000000000-7f0000008000 rw-p 00000000 fe:00 7 /lib/x.so\nRss: 24 kB\nShared_Dirty: 0 kB\nPrivate_Dirty: 12 kB\nAnonymous: 8 kB\n"
      "7f0000010000-7f0000012000 rw-s 00000000 00:01 9 /dev/zero (deleted)\nRss: 8 kB\nAnonymous: 0 kB\n"
      "7ffffff00000-7ffffff04000 rw-p 00000000 00:00 0 [stack]\nRss: 8 kB\nAnonymous: 8 kB\n"
      "7ffffff10000-7ffffff12000 r-xp 00000000 00:00 0 [vdso]\nRss: 4 kB\n"
      "ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0 [vsyscall]\nRss: 0 kB\n";
  trace::TouchObservation heap;
  heap.address = 0x10000;
  heap.at_exit = true;
  heap.runs = {1, 2, 3, 10};  // four resident of which one is the zero page
  const auto look = replay::look_at_exit(process, std::vector{heap});
  ASSERT_TRUE(look);
  EXPECT_EQ(look->resident_bytes(), (12u + 24 + 8 + 8 + 4) << 10);
  EXPECT_EQ(look->program_break, 0x20000u);
  ASSERT_GE(look->runs.size(), 2u);
  EXPECT_EQ(look->runs[0].end, 0x11000u);
  EXPECT_EQ(look->runs[1].start, 0x13000u);
  EXPECT_EQ(look->runs[1].end, 0x15000u);
  const AddressMap areas(process, {}, false);
  const Ledger ledger = build_ledger(*look, nullptr, areas).ledger;
  EXPECT_EQ(ledger[LedgerPart::heap_undivided], pages(3));
  EXPECT_EQ(ledger[LedgerPart::file_private], pages(2));
  EXPECT_EQ(ledger[LedgerPart::file_dirty], pages(1));
  EXPECT_EQ(ledger[LedgerPart::file_clean], pages(3));
  EXPECT_EQ(ledger[LedgerPart::shared_memory], pages(2));
  EXPECT_EQ(ledger[LedgerPart::stack_main], pages(2));
  EXPECT_EQ(ledger[LedgerPart::kernel], pages(1));
  process.exit_seen = false;
  EXPECT_FALSE(replay::look_at_exit(process, {}));
}

TEST(LedgerDiff, SitesByKeyAndTheGreatestChangeFirst) {
  Ledger before, after;
  SiteName one, two, three;
  one.function = "one", two.function = "two", three.function = "three";
  before.sites = {{one, 2, 100, 0}, {three, 1, 7, 0}};
  after.sites = {{two, 5, 300, 10}, {one, 1, 50, 0}, {three, 1, 7, 0}};
  before.parts[0] = 107;
  after.parts[0] = 357;
  const LedgerDiff diff = diff_of(before, after);
  ASSERT_EQ(diff.sites.size(), 2U);
  EXPECT_EQ(diff.sites[0].name.function, "two");
  EXPECT_EQ(diff.sites[0].resident.change(), 300);
  EXPECT_EQ(diff.sites[1].resident.change(), -50);
  EXPECT_EQ(diff.rss.change(), 250);
}

TEST(LedgerMoment, AsPeopleWriteIt) {
  const auto at = [](const char* text) { return parse_moment(text)->ns(7, 1'000'000'000); };
  EXPECT_EQ(at("peak"), 7U);
  EXPECT_EQ(at("end"), 1'000'000'000U);
  EXPECT_EQ(at("1.5"), 1'500'000'000U);
  EXPECT_EQ(at("1.5s"), 1'500'000'000U);
  EXPECT_EQ(at("250ms"), 250'000'000U);
  EXPECT_EQ(at("40%"), 400'000'000U);
  for (const char* wrong : {"", "x", "101%", "-1", "1h", "nan", "inf", "1.5 s", "%"}) EXPECT_FALSE(parse_moment(wrong).has_value()) << wrong;
}

TEST(LedgerParts, KeysAreAsManyAsParts) {
  for (std::size_t i = 0; i < kLedgerParts; ++i) {
    EXPECT_FALSE(kLedgerPartFacts[i].key.empty());
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(kLedgerPartFacts[i].key, kLedgerPartFacts[j].key);
  }
  EXPECT_EQ(facts_of(LedgerPart::recorder).key, "recorder");
  EXPECT_EQ(facts_of(LedgerPart::thp_slack).key, "thp_slack");
  EXPECT_EQ(facts_of(LedgerPart::heap_live).key, "heap_live");
}

}  // namespace
}  // namespace faultline::analyze
