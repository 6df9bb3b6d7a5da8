// The LRU curve of all sizes is the simulation of each size, with memory given back too; OPT's likewise; samples come near both.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <random>

#include "analyze/curves/lru_curve.h"
#include "analyze/curves/miniature.h"
#include "analyze/curves/opt_curve.h"
#include "analyze/curves/shards.h"
#include "analyze/curves/simulation.h"
#include "curves_source.h"
#include "reclaim_streams.h"

namespace faultline {
namespace {

using namespace testing;
using analyze::MissCurve;

template <typename Make>
MissCurve curve_of(const Stream& stream, const Make& make) {
  VectorSource source(references(stream));
  analyze::ReferencePages pages(source);
  const auto curve = make(pages);
  EXPECT_TRUE(curve) << curve.error().message();
  return curve ? *curve : MissCurve();
}

// The size at which the curve and the simulation differ; 0: none.
std::uint64_t different_size(const char* policy, const Stream& stream, std::uint64_t most) {
  const MissCurve curve = std::string(policy) == "lru" ? curve_of(stream, [](auto& pages) { return analyze::lru_curve(pages); })
                                                       : curve_of(stream, [](auto& pages) { return analyze::opt_curve(pages); });
  for (std::uint64_t size = 1; size <= most; ++size) {
    if (curve.misses(size) != static_cast<double>(count(policy, stream, frames(size)).misses)) return size;
  }
  return 0;
}

void all_sizes_equal(const char* policy, std::uint64_t seed, std::size_t length, mm::PageId pages) {
  for (const unsigned gone_in : {0U, 30U, 5U}) {
    const Stream stream = random_stream(seed, length, pages, gone_in);
    if (different_size(policy, stream, pages + 2) == 0) continue;
    const Stream least = shrink(stream, [&](const Stream& less) { return different_size(policy, less, pages + 2) != 0; });
    ADD_FAILURE() << policy << ", seed " << seed << ", size " << different_size(policy, least, pages + 2) << ": " << text(least);
  }
}

TEST(CurvesLru, AllSizesAreTheSimulations) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) all_sizes_equal("lru", seed, 2000, static_cast<mm::PageId>(10 * seed));
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  all_sizes_equal("lru", seed, 2000, 60);
}

// Long enough for times to be renumbered several times, with holes.
TEST(CurvesLru, RenumberingChangesNothing) {
  const Stream stream = random_stream(5, 120'000, 2000, 50);
  const MissCurve curve = curve_of(stream, [](auto& pages) { return analyze::lru_curve(pages); });
  EXPECT_TRUE(curve.monotonic());
  for (const std::uint64_t size : {1U, 10U, 100U, 500U, 1000U, 1500U, 1999U, 2001U}) {
    EXPECT_EQ(curve.misses(size), static_cast<double>(count("lru", stream, frames(size)).misses)) << size;
  }
  analyze::LruDepths depths;
  for (const StreamEvent& event : stream) {
    depths.feed({std::span(&event.page, 1), std::span(&event.kind, 1)}, 2000);
    if (depths.references() % 10'000 == 0) depths.check_invariants();
  }
}

TEST(CurvesLru, OptOfAllSizesIsTheSimulations) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) all_sizes_equal("opt", seed, 1500, static_cast<mm::PageId>(8 * seed));
  const std::uint64_t seed = std::random_device{}();
  std::printf("seed %llu\n", static_cast<unsigned long long>(seed));
  all_sizes_equal("opt", seed, 1500, 40);
}

TEST(CurvesLru, OptSaysWhenItWouldTakeTooLong) {
  const Stream stream = random_stream(5, 50'000, 1000, 0);
  VectorSource source(references(stream));
  analyze::ReferencePages pages(source);
  const auto curve = analyze::opt_curve(pages, 1000);
  ASSERT_FALSE(curve);
  EXPECT_NE(curve.error().message().find("steps"), std::string::npos);
}

// Skewed draws over pages of which neighbours are alike, as ranks are.
std::vector<std::uint64_t> skewed(std::uint64_t pages, std::size_t count, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::uint64_t> keys(count);
  for (auto& key : keys) {
    const double u = static_cast<double>(random() >> 11) * 0x1p-53;
    key = static_cast<std::uint64_t>(std::pow(u, 4) * static_cast<double>(pages));
  }
  return keys;
}

std::vector<std::uint64_t> hundred_sizes(std::uint64_t pages) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t i = 1; i <= 100; ++i) sizes.push_back(i * pages / 100);
  return sizes;
}

TEST(CurvesLru, ShardsComesNear) {
  const auto keys = skewed(200'000, 2'000'000, 9);
  analyze::KeyPages all(keys);
  const MissCurve exact = *analyze::lru_curve(all);
  EXPECT_TRUE(exact.exact());
  for (const std::uint64_t salt : {1U, 2U, 3U}) {
    analyze::KeyPages sampled(keys, analyze::PageSample::at_rate(0.01, salt));
    const MissCurve estimate = *analyze::shards_curve(sampled, 0.01);
    EXPECT_FALSE(estimate.exact());
    EXPECT_EQ(estimate.references(), keys.size());
    EXPECT_LE(analyze::mean_absolute_error(exact, estimate, hundred_sizes(200'000)), 0.008) << salt;
    analyze::KeyPages narrowed(keys, {analyze::kNearlyAll.below, salt});
    const MissCurve bounded = *analyze::fixed_size_shards_curve(narrowed, 4096);
    EXPECT_LE(analyze::mean_absolute_error(exact, bounded, hundred_sizes(200'000)), 0.008) << salt;
    EXPECT_NEAR(narrowed.sample().rate(), 4096.0 / all.pages(), 0.002) << "the rate follows the bound";
  }
}

// A sample of everything is no sample: fixed-size SHARDS that never fills is exact but for its buckets.
TEST(CurvesLru, ShardsWithRoomForAllIsExact) {
  const Stream stream = random_stream(21, 20'000, 300, 40);
  const MissCurve exact = curve_of(stream, [](auto& pages) { return analyze::lru_curve(pages); });
  VectorSource source(references(stream));
  analyze::ReferencePages pages(source, analyze::kNearlyAll);
  const MissCurve bounded = *analyze::fixed_size_shards_curve(pages, 100'000);
  for (std::uint64_t size = 1; size < 305; ++size) EXPECT_NEAR(bounded.misses(size), exact.misses(size), 1e-6 * exact.misses(1)) << size;
}

TEST(CurvesLru, MiniatureComesNear) {
  const auto keys = skewed(200'000, 2'000'000, 10);
  const std::vector<std::uint64_t> sizes = {20'000, 60'000, 100'000, 150'000};
  for (const char* name : {"lru", "fifo", "clock", "sieve", "arc", "s3-fifo", "opt"}) {
    analyze::KeyPages all(keys), sampled(keys, analyze::PageSample::at_rate(0.02, 4));
    const MissCurve exact = *analyze::policy_curve(*mm::find_policy(name), all, sizes);
    const MissCurve estimate = *analyze::policy_curve(*mm::find_policy(name), sampled, sizes);
    EXPECT_TRUE(exact.exact());
    EXPECT_LE(analyze::mean_absolute_error(exact, estimate, sizes), 0.01) << name;
  }
  analyze::KeyPages sampled(keys, analyze::PageSample::at_rate(0.01));
  EXPECT_FALSE(analyze::policy_curve(*mm::find_policy("lru"), sampled, std::vector<std::uint64_t>{10}));
}

TEST(CurvesLru, CurveAnswers) {
  const MissCurve curve(100, {{1, 90}, {4, 30}, {10, 20}, {20, 20}}, true);
  EXPECT_EQ(curve.misses(0), 100);
  EXPECT_EQ(curve.misses(3), 90);
  EXPECT_EQ(curve.misses(4), 30);
  EXPECT_EQ(curve.misses(1000), 20);
  EXPECT_EQ(curve.miss_ratio(4), 0.3);
  EXPECT_TRUE(curve.monotonic());
  EXPECT_EQ(curve.knee()->frames, 4U);
  EXPECT_EQ(curve.frames_for(30), 4U);
  EXPECT_EQ(curve.frames_for(100), 0U);
  EXPECT_EQ(curve.frames_for(19), std::nullopt);
  const MissCurve belady(12, {{3, 9}, {4, 10}, {5, 5}}, true);
  EXPECT_FALSE(belady.monotonic());
  EXPECT_EQ(belady.lower_envelope().misses(4), 9);
  EXPECT_EQ(MissCurve().knee(), std::nullopt);
  // A cyclic scan: nothing until everything fits.
  EXPECT_EQ(MissCurve(1000, {{100, 100}}, true).knee(), std::nullopt);
}

}  // namespace
}  // namespace faultline
