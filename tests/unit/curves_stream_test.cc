// Page streams: numbering, calls that give memory back, sampling; and what is next used when.
#include <gtest/gtest.h>

#include <cstdio>
#include <map>
#include <random>
#include <set>

#include "analyze/curves/next_uses.h"
#include "analyze/curves/simulation.h"
#include "curves_source.h"
#include "reclaim_streams.h"

namespace faultline {
namespace {

using namespace testing;
using analyze::PageBatch;
using analyze::PageEvent;
using trace::ReferenceEvent;
using trace::ReferenceKind;

Stream events_of(analyze::PageStream& stream) {
  Stream events;
  for (;;) {
    const auto batch = stream.next();
    EXPECT_TRUE(batch);
    if (!batch || batch->pages.empty()) return events;
    for (std::size_t i = 0; i < batch->pages.size(); ++i) events.push_back({batch->pages[i], batch->events[i]});
  }
}

TEST(CurvesStream, NumbersByFirstAppearance) {
  std::mt19937_64 random(3);
  std::map<std::pair<std::uint64_t, std::uint32_t>, mm::PageId> wanted;
  analyze::PageNumbering numbering;
  for (int i = 0; i < 300'000; ++i) {
    // Dense runs, far apart ones, and the same page of several processes.
    const std::uint64_t page = random() % 2 == 0 ? random() % 50'000 : (random() % 16) << 40 | random() % 4000;
    const auto process = static_cast<std::uint32_t>(random() % 3);
    const auto number = wanted.emplace(std::pair(page, process), static_cast<mm::PageId>(wanted.size())).first->second;
    ASSERT_EQ(numbering.number(page, process, analyze::page_hash(page, process)), number);
  }
  EXPECT_EQ(numbering.pages(), wanted.size());
  EXPECT_EQ(numbering.find(1, 7), std::nullopt);
  std::size_t seen = 0;
  numbering.for_each_of(1, [&](mm::PageId number, std::uint64_t page) {
    EXPECT_EQ(wanted.at({page, 1}), number);
    ++seen;
  });
  EXPECT_EQ(seen, static_cast<std::size_t>(std::count_if(wanted.begin(), wanted.end(), [](const auto& entry) { return entry.first.second == 1; })));
}

ReferenceEvent touch(std::uint64_t page, ReferenceKind kind = ReferenceKind::read, std::uint32_t process = 0) {
  ReferenceEvent event;
  event.kind = kind;
  event.page = page;
  event.process = process;
  return event;
}
ReferenceEvent range(ReferenceKind kind, std::uint64_t page, std::uint64_t pages, std::uint32_t process = 0) {
  ReferenceEvent event = touch(page, kind, process);
  event.pages = pages;
  return event;
}

TEST(CurvesStream, CallsGiveMemoryBack) {
  VectorSource source({touch(10), touch(11, ReferenceKind::write), touch(10, ReferenceKind::read, 1), range(ReferenceKind::unmap, 11, 1), touch(12),
                       // a range far larger than the table, of process 0 only
                       range(ReferenceKind::discard, 12, std::uint64_t{1} << 40), range(ReferenceKind::exit, 0, 1, 1), range(ReferenceKind::map, 0, 100),
                       touch(11)});
  analyze::ReferencePages pages(source);
  EXPECT_EQ(text(events_of(pages)), "0 w1 2 -1 3 -3 -2 1 ");
  EXPECT_EQ(pages.references(), 5U);
  ASSERT_TRUE(pages.rewind());
  EXPECT_EQ(text(events_of(pages)), "0 w1 2 -1 3 -3 -2 1 ");
}

TEST(CurvesStream, SamplesWholePagesEvenly) {
  std::vector<std::uint64_t> keys;
  for (std::uint64_t page = 0; page < 200'000; ++page) keys.insert(keys.end(), {page, page});
  for (const std::uint64_t salt : {1U, 2U, 3U}) {
    analyze::KeyPages pages(keys, analyze::PageSample::at_rate(0.01, salt));
    const std::size_t events = events_of(pages).size();
    EXPECT_EQ(events, 2U * pages.pages());
    EXPECT_NEAR(pages.pages(), 2000, 20);  // lots would give ± 45, that is 180 in the worst of many
    EXPECT_EQ(pages.references(), keys.size());
  }
  // Strides and scattered ids: about as lots, whose four standard deviations are 180; the worst strides, Fibonacci numbers, twice that.
  for (const std::uint64_t stride : {2ULL, 512ULL, 4096ULL, 89ULL, 987ULL, 1ULL << 20, 0x5851f42d4c957f2dULL}) {
    std::vector<std::uint64_t> strided;
    for (std::uint64_t i = 0; i < 200'000; ++i) strided.push_back(i * stride);
    analyze::KeyPages pages(strided, analyze::PageSample::at_rate(0.01));
    events_of(pages);
    EXPECT_NEAR(pages.pages(), 2000, stride == 987 ? 360 : 180) << stride;
  }
}

TEST(CurvesStream, NextUsesInMemoryAndInAFile) {
  for (std::uint64_t seed = 1; seed < 10; ++seed) {
    const Stream stream = random_stream(seed, 3000, 100, seed % 2 == 0 ? 10 : 0);
    for (const std::uint64_t limit : {std::uint64_t{0}, analyze::NextUses::kMemoryLimit}) {
      VectorSource source(references(stream));
      analyze::ReferencePages pages(source);
      const auto uses = analyze::NextUses::of(pages, limit);
      ASSERT_TRUE(uses) << uses.error().message();
      EXPECT_EQ(uses->in_file(), limit == 0);
      const std::vector<std::uint32_t> wanted = next_uses(stream);
      EXPECT_EQ(std::vector<std::uint32_t>(uses->data(), uses->data() + uses->references()), wanted);
    }
  }
}

TEST(CurvesStream, FutureNeedsAStreamThatCanBeReadTwice) {
  VectorSource once(references(random_stream(1, 100, 10, 0)), false);
  analyze::ReferencePages pages(once);
  const auto counts = analyze::simulate(*mm::find_policy("opt"), pages, frames(3));
  ASSERT_FALSE(counts);
  EXPECT_NE(counts.error().message().find("twice"), std::string::npos) << counts.error().message();
}

TEST(CurvesStream, ManySizesInOnePassAreThoseOfManyPasses) {
  const Stream stream = random_stream(11, 30'000, 500, 40);
  VectorSource source(references(stream));
  const std::vector<std::uint64_t> sizes = {1, 2, 3, 50, 499, 1000};
  for (const char* policy : {"fifo", "clock", "arc", "opt"}) {
    analyze::ReferencePages pages(source);
    ASSERT_TRUE(pages.rewind());
    const auto together = analyze::simulate(*mm::find_policy(policy), pages, sizes);
    ASSERT_TRUE(together);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      ASSERT_TRUE(pages.rewind());
      const auto alone = analyze::simulate(*mm::find_policy(policy), pages, frames(sizes[i]));
      EXPECT_EQ((*together)[i], *alone) << policy << " " << sizes[i];
      EXPECT_EQ(alone->misses, count(policy, stream, frames(sizes[i])).misses);
    }
  }
  analyze::ReferencePages pages(source);
  const auto none = analyze::simulate(*mm::find_policy("lru"), pages, std::vector<std::uint64_t>{0});
  EXPECT_FALSE(none);
}

}  // namespace
}  // namespace faultline
