// The box of a replay: every setting inside it must give the same addresses and the same prediction, whatever the program.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "replay/load.h"
#include "replay/replayer.h"
#include "support/fake_recording.h"

namespace faultline::replay {
namespace {

using Random = std::mt19937_64;

class Addresses : public ReplayWatch {
 public:
  std::vector<std::uint64_t> list;
  void after(std::size_t, const Event&, std::uint64_t result, std::span<const heap::CallRecord> calls) override {
    list.push_back(result);
    for (const heap::CallRecord& call : calls) {
      for (const std::uint64_t word : {static_cast<std::uint64_t>(call.kind), call.address, call.length, call.new_length, static_cast<std::uint64_t>(call.delta), call.result})
        list.push_back(word);
    }
  }
};

std::uint64_t pick(Random& random, std::initializer_list<std::uint64_t> values) { return *(values.begin() + random() % values.size()); }

// Sizes from bytes to some MiB, each magnitude equally likely; repeated ones, as programs have them.
std::uint64_t random_size(Random& random) {
  if (random() % 3 == 0) return pick(random, {24, 100, 1000, 20'000, 131'000, 140'000, 300'000, 1'000'000});
  return random() % (std::uint64_t{16} << random() % 19) + 1;
}

Program random_program(Random& random) {
  testing::FakeRecording recording;
  std::vector<std::uint64_t> live;
  std::uint64_t next = 0x10000;
  const std::size_t threads = random() % 3 == 0 ? 1 + random() % 3 : 1, events = 50 + random() % 400, most_live = 2 + random() % 60;
  const bool sets = random() % 4 == 0;
  while (recording.events.size() < events) {
    const auto tid = static_cast<trace::Tid>(100 + random() % threads);
    const std::uint64_t what = random() % 100;
    if (live.size() < most_live && what < 55) {
      live.push_back(next += std::uint64_t{1} << 28);
      const auto op = what < 45 ? trace::HeapOp::malloc : what < 50 ? trace::HeapOp::calloc : trace::HeapOp::memalign;
      const std::uint64_t size = random_size(random);
      if (op == trace::HeapOp::malloc) recording.malloc(size, live.back(), tid);
      else if (op == trace::HeapOp::calloc) recording.add(op, 1, size, live.back(), tid);
      else recording.add(op, 64, size, live.back(), tid);
    } else if (!live.empty() && what < 60) {
      const std::size_t i = random() % live.size();
      const std::uint64_t old = live[i];
      live[i] = next += std::uint64_t{1} << 28;
      recording.add(trace::HeapOp::realloc, random_size(random), old, live[i], tid);
    } else if (what == 99 && random() % 4 == 0) {
      recording.add(trace::HeapOp::malloc_trim, random() % 2 * 10'000, 0, 1, tid);
    } else if (sets && what == 98) {
      const std::int64_t parameter = -static_cast<std::int64_t>(pick(random, {1, 2, 3, 4}));
      recording.add(trace::HeapOp::mallopt, static_cast<std::uint64_t>(random() % 5 == 0 ? 1 : parameter), random() % (random() % 2 ? 160 : 500'000), 1, tid);
    } else if (!live.empty()) {
      const std::size_t i = random() % 3 ? live.size() - 1 : random() % live.size();
      recording.free(live[i], tid);
      live[i] = live.back();
      live.pop_back();
    }
  }
  recording.meta_data.calls_exact = false;
  auto program = load_program(recording, recording.info);
  EXPECT_TRUE(program) << program.error().message();
  program->thp_madvise_bytes = random() % 2 ? std::uint64_t{2} << 20 : 0;
  program->glibc_version = random() % 4 == 0 ? "2.41" : random() % 4 == 0 ? "2.31" : "2.36";
  return std::move(*program);
}

heap::Parameters random_setting(const Program& program, Random& random) {
  heap::Parameters parameters = recorded_parameters(program);
  heap::Tunables& t = parameters.tunables;
  const auto some = [&](std::uint64_t one_in) { return random() % one_in == 0; };
  if (some(2)) t.mmap_threshold = some(6) ? std::uint64_t{4} << 30 : random_size(random) + (some(2) ? 128 * 1024 : 0);
  if (some(2)) t.trim_threshold = some(4) ? std::uint64_t{4} << 30 : random() % (std::uint64_t{4096} << random() % 13);
  if (some(4)) t.top_pad = pick(random, {0, 4096, 131'072, 1 << 20});
  if (some(4)) t.mmap_max = static_cast<std::int32_t>(pick(random, {0, 1, 2, 5, 20, 65536}));
  if (some(5)) t.tcache_count = pick(random, {0, 1, 2, 7, 8, 50, 65535});
  if (some(5)) t.tcache_max = pick(random, {0, 100, 500, 1032});
  if (some(5)) t.mxfast = pick(random, {0, 32, 64, 128, 160});
  if (some(8)) t.arena_max = 1 + random() % 3;
  if (some(8)) t.arena_test = 1 + random() % 3;
  if (some(12)) t.hugetlb = random() % 3;
  return parameters;
}

// The same setting, with one or two values moved: what shares a box.
heap::Parameters moved(const heap::Parameters& from, const Program& program, Random& random) {
  heap::Parameters to = from;
  const heap::Parameters other = random_setting(program, random);
  const auto take = [&](auto heap::Tunables::*value) {
    if (random() % 3 == 0) to.tunables.*value = other.tunables.*value;
  };
  take(&heap::Tunables::mmap_threshold);
  take(&heap::Tunables::trim_threshold);
  take(&heap::Tunables::mmap_max);
  if (random() % 4 == 0) take(&heap::Tunables::top_pad);
  if (random() % 2 == 0) take(&heap::Tunables::tcache_count);
  if (random() % 2 == 0) take(&heap::Tunables::tcache_max);
  if (random() % 2 == 0) take(&heap::Tunables::mxfast);
  if (random() % 2 == 0) take(&heap::Tunables::arena_max);
  if (random() % 2 == 0) take(&heap::Tunables::arena_test);
  if (random() % 4 == 0) take(&heap::Tunables::hugetlb);
  if (random() % 6 == 0) to.tunables = recorded_parameters(program).tunables;  // adapting thresholds again
  return to;
}

void expect_same(const Prediction& a, const Prediction& b) {
  EXPECT_EQ(a.heap_minor, b.heap_minor);
  EXPECT_EQ(a.mmapped_minor, b.mmapped_minor);
  EXPECT_EQ(a.thread_heap_minor, b.thread_heap_minor);
  EXPECT_EQ(a.rss_peak_bytes, b.rss_peak_bytes);
  EXPECT_EQ(a.rss_end_bytes, b.rss_end_bytes);
  EXPECT_EQ(a.calls.total(), b.calls.total());
  EXPECT_EQ(a.released_pages, b.released_pages);
  EXPECT_EQ(a.failed, b.failed);
  EXPECT_EQ(a.cost_ns, b.cost_ns);
}

TEST(OutcomeBox, EverySettingInsideHasTheSameOutcome) {
  const char* given = std::getenv("FAULTLINE_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 0) : 20261123;
  const char* scale = std::getenv("FAULTLINE_PROGRAMS");
  const int programs = scale != nullptr ? std::atoi(scale) : 150;
  std::size_t inside = 0, others = 0, outside_equal = 0, outside = 0;
  for (int n = 0; n < programs; ++n) {
    SCOPED_TRACE(::testing::Message() << "FAULTLINE_SEED=" << seed << " program " << n);
    Random random(seed + static_cast<std::uint64_t>(n));
    const Program program = random_program(random);
    const heap::Parameters parameters = random_setting(program, random);
    heap::OutcomeBox box;
    Addresses addresses;
    ReplayPlan plan;
    plan.watch = &addresses;
    plan.box = &box;
    if (random() % 4 == 0) plan.trim.every_frees = 1 + random() % 50;
    const auto prediction = replay(program, parameters, plan);
    ASSERT_TRUE(prediction);
    EXPECT_TRUE(box.covers(heap::Settings(parameters)));
    for (int i = 0; i < 40; ++i) {
      const heap::Parameters other = moved(parameters, program, random);
      if (other.tunables == parameters.tunables) continue;
      const bool covered = box.covers(heap::Settings(other));
      if (!covered && outside > 500) continue;
      Addresses there;
      ReplayPlan its = plan;
      its.watch = &there;
      its.box = nullptr;
      const auto predicted = replay(program, other, its);
      ASSERT_TRUE(predicted);
      if (!covered) {
        ++outside;
        outside_equal += there.list == addresses.list;
        continue;
      }
      ++inside;
      others += !(heap::Settings(other).mmap_threshold == heap::Settings(parameters).mmap_threshold && heap::Settings(other).trim_threshold == heap::Settings(parameters).trim_threshold);
      expect_same(*prediction, *predicted);
      EXPECT_TRUE(there.list == addresses.list) << parameters.tunables.to_glibc_tunables() << "  against  " << other.tunables.to_glibc_tunables();
      if (::testing::Test::HasFailure()) return;
    }
  }
  std::printf("%zu settings inside a box (%zu with other thresholds): all with the same outcome; outside, %zu of %zu would have been equal too (seed %llu)\n",
              inside, others, outside_equal, outside, static_cast<unsigned long long>(seed));
  EXPECT_GT(inside, static_cast<std::size_t>(programs));
}

TEST(ReplayPlan, IsGivenUpWhenAsked) {
  Random random(1);
  const Program program = random_program(random);
  ReplayPlan plan;
  int asked = 0;
  plan.give_up = [&](const ReplayProgress&) { return ++asked == 1; };
  EXPECT_FALSE(replay(program, recorded_parameters(program), plan));
}

// Freed below a live block: only malloc_trim gives it back.
TEST(ReplayPlan, ATrimPeriodGivesBackWhatLiesBelowALiveBlock) {
  testing::FakeRecording recording;
  std::uint64_t next = 0;
  for (int i = 0; i < 1000; ++i) recording.malloc(4000, next += 1 << 20);
  const std::uint64_t last = next;
  for (std::uint64_t at = 1 << 20; at < last; at += 1 << 20) recording.free(at);
  recording.malloc(100, next += 1 << 20);
  recording.meta_data.calls_exact = false;
  const Program program = std::move(*load_program(recording, recording.info));
  const Prediction before = replay(program, recorded_parameters(program), Placement::own);
  ReplayPlan plan;
  plan.trim.every_frees = 999;
  const auto after = replay(program, recorded_parameters(program), plan);
  ASSERT_TRUE(after);
  EXPECT_GT(before.rss_end_bytes, 3'900'000u);
  EXPECT_LT(after->rss_end_bytes, 200'000u);
  EXPECT_EQ(after->calls.madvise, 1u);
  plan.trim = {.every_ns = 100'000, .every_frees = 0};  // events are 1 µs apart
  const auto by_time = replay(program, recorded_parameters(program), plan);
  ASSERT_TRUE(by_time);
  EXPECT_GT(by_time->calls.madvise, 5u);
  EXPECT_LT(by_time->rss_end_bytes, 600'000u);
}

}  // namespace
}  // namespace faultline::replay
