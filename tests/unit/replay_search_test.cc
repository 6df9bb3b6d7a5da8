// The settings search: it finds the joint setting for a storm, refuses to speak where it must, and says when nothing helps.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "analyze/placements.h"
#include "analyze/search.h"
#include "analyze/search_candidates.h"
#include "analyze/search_measure.h"
#include "replay/load.h"
#include "replay/replayer.h"
#include "replay/thread_sharing.h"
#include "support/fake_recording.h"

namespace faultline::analyze {
namespace {

using testing::FakeRecording;

// Addresses that are right for the default settings come from the model itself: what is tested here is the search.
class Addresses : public replay::ReplayWatch {
 public:
  explicit Addresses(FakeRecording& recording) : recording_(recording) {}
  void after(std::size_t index, const replay::Event& event, std::uint64_t result, std::span<const heap::CallRecord>) override {
    if (event.op != trace::HeapOp::free) recording_.events[index].result = result;
  }

 private:
  FakeRecording& recording_;
};

// rounds of `count` blocks of `size`, freed last first. First with made-up addresses, then with those of the replay.
replay::Program storm(int count, std::uint64_t size, int rounds, double wall_ns, const std::string& tunables = "", const std::string& variable = "") {
  FakeRecording recording;
  for (int round = 0; round < rounds; ++round) {
    for (int i = 1; i <= count; ++i) recording.malloc(size, static_cast<std::uint64_t>(i) << 32);
    for (int i = count; i >= 1; --i) recording.free(static_cast<std::uint64_t>(i) << 32);
  }
  recording.meta_data.calls_exact = false;
  recording.meta_data.wall_ns = static_cast<std::uint64_t>(wall_ns);
  replay::Program program = std::move(*replay::load_program(recording, recording.info));
  program.tunables = tunables;
  if (!variable.empty()) program.environment.push_back(variable);
  Addresses addresses(recording);
  replay::replay(program, replay::recorded_parameters(program), replay::Placement::own, &addresses);
  for (std::size_t i = 0; i < program.events.size(); ++i) {
    program.events[i].address = recording.events[i].result;
    // A mapping of its own, so that verify puts it where the replay above had it.
    if (program.events[i].op != trace::HeapOp::free && program.events[i].address > 0x700000000000) program.events[i].flags |= trace::kChunkMmapped;
  }
  return program;
}

TEST(Search, FindsTheJointSettingForAStorm) {
  const replay::Program program = storm(4, 160'000, 200, 50e6);
  const Advice advice = search(program, {});
  ASSERT_TRUE(advice.verification.holds()) << advice.reason;
  ASSERT_TRUE(advice.recommended) << advice.reason;
  const Candidate& best = advice.candidates[*advice.recommended];
  EXPECT_EQ(advice.gain, Objective::time);
  EXPECT_LT(best.predicted.minor_faults(), advice.baseline().minor_faults() / 50);
  EXPECT_FALSE(best.raises_peak);
  EXPECT_GT(best.saved_ns, 0);
}

// A thread cache that is switched off costs time in every call, which no prediction holds.
// A program that is made slow by what somebody set: the search tries it without.
TEST(Search, TakesAwayWhatDoesHarm) {
  const replay::Program program = storm(1, 100'000, 800, 50e6, "glibc.malloc.trim_threshold=0:glibc.malloc.tcache_count=3", "MALLOC_TOP_PAD_=0");
  const Advice advice = search(program, {});
  std::set<Setting> tried;
  for (const Candidate& c : advice.candidates) tried.insert(c.setting);
  const Setting all{{"trim_threshold", kTakenAway}, {"tcache_count", kTakenAway}, {"top_pad", kTakenAway}};
  EXPECT_TRUE(tried.contains(all));
  for (const auto& [name, value] : all) EXPECT_TRUE(tried.contains({{name, value}})) << name;
  const auto best = std::find_if(advice.candidates.begin(), advice.candidates.end(), [&](const Candidate& c) { return c.setting == all; });
  ASSERT_NE(best, advice.candidates.end());
  EXPECT_LT(best->predicted.minor_faults(), advice.baseline().minor_faults() / 50);
  EXPECT_EQ(best->what_if.environment(), "env -u MALLOC_TOP_PAD_ -u GLIBC_TUNABLES");
}

TEST(WhatIf, DefaultIsAsIfItHadNotBeenSet) {
  const replay::Program program = storm(2, 100'000, 2, 50e6, "glibc.malloc.trim_threshold=0:glibc.malloc.tcache_count=3");
  auto without = what_if(program, {"trim_threshold=default"});
  ASSERT_TRUE(without);
  EXPECT_FALSE(without->parameters.tunables.trim_threshold);
  EXPECT_EQ(without->environment(), "GLIBC_TUNABLES=glibc.malloc.tcache_count=3");
  EXPECT_FALSE(without->changes_program());
  auto silent = what_if(program, {"mallopt=default"});
  ASSERT_TRUE(silent);
  EXPECT_TRUE(silent->changes_program());
  EXPECT_FALSE(silent->code().empty());
  EXPECT_FALSE(what_if(program, {"mallopt=1"}));
}

// mallopt(M_TRIM_THRESHOLD, 0) and mallopt(M_TOP_PAD, 0) by the program itself: a change of the program takes it away.
TEST(Search, TriesWithoutTheProgramsMalloptCalls) {
  replay::Program program = storm(1, 100'000, 800, 50e6);
  for (const int parameter : {-1, -2}) {
    const replay::Event call{.address = 1, .other = static_cast<std::uint32_t>(parameter), .time = program.events.front().time, .op = trace::HeapOp::mallopt};
    program.events.insert(program.events.begin(), call);
  }
  const WhatIf as_it_is{.parameters = replay::recorded_parameters(program), .trim = {}, .unset = {}, .unpriced = {}, .assumptions = {}};
  WhatIf without = as_it_is;
  without.without_mallopt = true;
  const auto before = predict(program, as_it_is), after = predict(program, without);
  EXPECT_GT(before->minor_faults(), 50 * after->minor_faults());
  SearchOptions options;
  options.force = true;
  const Advice advice = search(program, options);
  EXPECT_TRUE(std::any_of(advice.candidates.begin(), advice.candidates.end(), [&](const Candidate& c) {
    return c.setting == Setting{{"mallopt", kTakenAway}} && c.predicted.minor_faults() == after->minor_faults();
  }));
}

TEST(Search, SmallerCachesAreNoAdviceForTime) {
  SearchOptions options;
  options.settings = 200;
  for (const auto& [count, size] : {std::pair{4, 160'000}, std::pair{3, 700}, std::pair{40, 20'000}}) {
    const Advice advice = search(storm(count, static_cast<std::uint64_t>(size), 200, 20e6), options);
    if (advice.recommended) {
      EXPECT_TRUE(advice.candidates[*advice.recommended].what_if.unpriced.empty());
    }
  }
}

TEST(Search, SaysSoWhenNothingHelps) {
  FakeRecording recording;
  recording.malloc(100, 0x5555555592a0);
  recording.free(0x5555555592a0);
  recording.meta_data.calls_exact = false;
  recording.meta_data.wall_ns = 1'000'000'000;
  const replay::Program program = std::move(*replay::load_program(recording, recording.info));
  const Advice advice = search(program, {});
  ASSERT_TRUE(advice.verification.holds());
  EXPECT_FALSE(advice.recommended);
  EXPECT_NE(advice.reason.find("no setting helps"), std::string::npos);
  EXPECT_FALSE(advice.candidates.empty());
}

TEST(Search, RefusesWhenTheTwinDoesNotReproduceTheRun) {
  FakeRecording recording;
  recording.malloc(100, 0x555555559ff0);  // not where glibc would put it
  recording.meta_data.wall_ns = 1'000'000;
  const replay::Program program = std::move(*replay::load_program(recording, recording.info));
  const Advice advice = search(program, {});
  EXPECT_FALSE(advice.recommended);
  EXPECT_TRUE(advice.candidates.empty());
  EXPECT_NE(advice.reason.find("verify failed (0 of 1 addresses equal)"), std::string::npos) << advice.reason;
}

TEST(Search, TheFrontHoldsNoDominatedCandidate) {
  const Advice advice = search(storm(2, 300'000, 30, 10e6), {});
  for (const Candidate& x : advice.candidates) {
    if (!x.on_front) continue;
    for (const Candidate& y : advice.candidates) {
      EXPECT_FALSE(y.predicted.cost_ns < x.predicted.cost_ns && y.predicted.rss_peak_bytes < x.predicted.rss_peak_bytes &&
                   y.predicted.rss_end_bytes < x.predicted.rss_end_bytes);
    }
  }
}

TEST(Search, NoFirstCandidateIsALoneThreshold) {
  for (const Setting& setting : first_settings({.peak_live_bytes = 10 << 20, .peak_large_bytes = 8 << 20, .largest_block = 1 << 20,
                                                .small_allocations = 5, .large_sizes = {1 << 18, 1 << 20}, .most_live_of_one_size = 5})) {
    const bool mmap = setting.contains("mmap_threshold") || setting.contains("mmap_max");
    EXPECT_TRUE(setting.contains("top_pad") || mmap == setting.contains("trim_threshold"));
  }
}

TEST(Search, UnknownSettingsListTheKnownOnes) {
  FakeRecording recording;
  recording.malloc(100, 0x5555555592a0);
  const replay::Program program = std::move(*replay::load_program(recording, recording.info));
  const auto refused = what_if(program, {"mmap_treshold=1"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("mmap_threshold"), std::string::npos);
}

TEST(Search, AnswersAsManyDistinctSettingsAsAsked) {
  const replay::Program program = storm(3, 200'000, 60, 10e6);
  SearchOptions options;
  options.settings = 300;
  const Advice advice = search(program, options);
  std::set<Setting> distinct;
  for (const Candidate& candidate : advice.candidates) distinct.insert(candidate.setting);
  EXPECT_EQ(distinct.size(), advice.candidates.size());
  EXPECT_EQ(advice.candidates.size() + advice.too_costly, 300u);
  EXPECT_LT(advice.replays, 200u);  // the others lie within a box
  // And again: the same answers in the same order.
  const Advice again = search(program, options);
  ASSERT_EQ(again.candidates.size(), advice.candidates.size());
  for (std::size_t i = 0; i < advice.candidates.size(); ++i) EXPECT_EQ(advice.candidates[i].setting, again.candidates[i].setting);
  EXPECT_EQ(advice.recommended, again.recommended);
}

TEST(Search, AnswersWithoutAReplayAreThoseOfOne) {
  const replay::Program program = storm(3, 200'000, 40, 10e6);
  SearchOptions options;
  options.settings = 150;
  std::size_t checked = 0;
  for (const Candidate& candidate : search(program, options).candidates) {
    if (candidate.replayed) continue;
    replay::ReplayPlan plan;
    plan.trim = candidate.what_if.trim;
    const auto predicted = replay::replay(program, candidate.what_if.parameters, plan);
    ASSERT_TRUE(predicted);
    EXPECT_EQ(predicted->minor_faults(), candidate.predicted.minor_faults());
    EXPECT_EQ(predicted->calls.total(), candidate.predicted.calls.total());
    EXPECT_EQ(predicted->rss_peak_bytes, candidate.predicted.rss_peak_bytes);
    EXPECT_EQ(predicted->rss_end_bytes, candidate.predicted.rss_end_bytes);
    ++checked;
  }
  EXPECT_GT(checked, 20u);
}

// 20 MiB of free blocks below a small live one: no threshold gives them back, a malloc_trim does.
replay::Program pinned() {
  FakeRecording recording;
  std::uint64_t next = 0;
  for (int i = 0; i < 5000; ++i) recording.malloc(4000, next += 1 << 20);
  const std::uint64_t last = next;
  recording.malloc(64, next += 1 << 20);
  for (std::uint64_t at = 1 << 20; at <= last; at += 1 << 20) recording.free(at);
  for (int i = 0; i < 6000; ++i) {
    recording.malloc(50, next += 1 << 20);
    recording.free(next);
  }
  recording.meta_data.calls_exact = false;
  recording.meta_data.wall_ns = 1'000'000'000;
  replay::Program program = std::move(*replay::load_program(recording, recording.info));
  Addresses addresses(recording);
  replay::replay(program, replay::recorded_parameters(program), replay::Placement::own, &addresses);
  for (std::size_t i = 0; i < program.events.size(); ++i) program.events[i].address = recording.events[i].result;
  return program;
}

TEST(Search, EndRssCanNeedALineInTheProgram) {
  SearchOptions options;
  options.objective = Objective::end_rss;
  const Advice advice = search(pinned(), options);
  ASSERT_TRUE(advice.recommended) << advice.reason;
  const Candidate& best = advice.candidates[*advice.recommended];
  EXPECT_EQ(advice.gain, Objective::end_rss);
  EXPECT_TRUE(best.what_if.trim.any());
  EXPECT_NE(best.what_if.code().find("malloc_trim(0)"), std::string::npos);
  EXPECT_LT(best.predicted.rss_end_bytes, advice.baseline().rss_end_bytes / 4);
}

TEST(Search, TheTimeAllowedIsObeyed) {
  SearchOptions options;
  options.seconds = 1e-9;
  const Advice advice = search(storm(2, 300'000, 3000, 10e6), options);
  EXPECT_TRUE(advice.out_of_time);
  EXPECT_TRUE(advice.candidates.empty());
  EXPECT_NE(advice.reason.find("--seconds"), std::string::npos) << advice.reason;
}

TEST(Search, AGainWithinTheErrorIsNotRecommended) {
  replay::Program program = storm(4, 160'000, 200, 50e6);
  ASSERT_TRUE(search(program, {}).recommended);
  // The same, but all that is known of the pages is a guess that may be wrong by all of them.
  program.error_of = {0, 1, 1, 1};
  for (std::uint32_t i = 0; i < program.events.size(); ++i) {
    const replay::Event& event = program.events[i];
    if (event.op == trace::HeapOp::free) continue;
    program.timed_blocks.push_back(i);
    program.timed_touches.push_back({.begin = 0, .end = 160'000, .event = i, .slot = event.slot, .write = true, .ground = replay::Ground::guessed});
  }
  const Advice advice = search(program, {});
  for (const Candidate& candidate : advice.candidates) EXPECT_GE(candidate.error.cost_ns, 500 * candidate.predicted.unseen_error);
  if (advice.recommended) {
    const Candidate& best = advice.candidates[*advice.recommended];
    EXPECT_GT(best.saved_ns, best.error.cost_ns);
  }
}

TEST(WhatIf, NamesWhatItRestsOn) {
  const replay::Program program = storm(1, 100, 1, 1e6);
  auto huge = what_if(program, {"hugetlb=2"});
  ASSERT_TRUE(huge);
  ASSERT_EQ(huge->assumptions.size(), 1u);
  EXPECT_NE(huge->assumptions[0].find("without reserved huge pages"), std::string::npos);
  auto trim = what_if(program, {"malloc_trim_every_ms=30000", "top_pad=1M"});
  ASSERT_TRUE(trim);
  EXPECT_EQ(trim->environment(), "GLIBC_TUNABLES=glibc.malloc.top_pad=1048576");
  EXPECT_NE(trim->code().find("every 30 s"), std::string::npos);
  EXPECT_FALSE(what_if(program, {"malloc_trim_every_ms=0"}));
  EXPECT_FALSE(what_if(program, {"malloc_trim_every_frees=x"}));
  EXPECT_FALSE(what_if(program, {"malloc_trim_every_frees"}));
  EXPECT_FALSE(what_if(program, {"top_pad=1M", "glibc.malloc.top_pad=2M"}));  // which of them?
  EXPECT_FALSE(what_if(program, {"arena_max=2"})->arena_estimate);  // one thread: nothing to estimate
}

// What threads free of each other comes out otherwise in each run, and the error says so.
TEST(WhatIf, BlocksThatOtherThreadsFreeWidenTheError) {
  replay::Program program = storm(2, 100'000, 20, 50e6);
  const replay::Verification verification = replay::verify(program);
  const auto error = [&] {
    const WhatIf question = *what_if(program, {"top_pad=1M"});
    return error_bar(verification, question, *predict(program, question), program.costs).minor_faults;
  };
  const double alone = error();
  program.threads.push_back({});
  EXPECT_EQ(replay::freed_by_others(program), 0);
  std::uint64_t frees = 0;
  for (replay::Event& event : program.events)
    if (event.op == trace::HeapOp::free) event.thread = ++frees % 4 == 0;
  EXPECT_DOUBLE_EQ(replay::freed_by_others(program), 0.25);
  program.freed_by_others = 0.25;
  EXPECT_GT(error(), alone);
}

TEST(Measure, VariablesAreTakenAway) {
  setenv("FL_TEST_VARIABLE", "1", 1);
  auto launcher = Launcher::start({"sh", "-c", "exit $((FL_TEST_VARIABLE + 1))"}, true);
  ASSERT_TRUE(launcher);
  EXPECT_EQ(WEXITSTATUS(launcher->run("")->wait_status), 2);
  EXPECT_EQ(WEXITSTATUS(launcher->run("", {"FL_NO_SUCH", "FL_TEST_VARIABLE"})->wait_status), 1);
  EXPECT_EQ(WEXITSTATUS(launcher->run("")->wait_status), 2);
  EXPECT_EQ(other_tunables("glibc.malloc.top_pad=1:glibc.cpu.x86_ibt=on:glibc.malloc.mxfast=2"), "glibc.cpu.x86_ibt=on");
}

TEST(Measure, TunablesMergeByName) {
  EXPECT_EQ(merged_tunables("glibc.malloc.top_pad=1:glibc.malloc.mxfast=2", "glibc.malloc.top_pad=5"),
            "glibc.malloc.mxfast=2:glibc.malloc.top_pad=5");
  EXPECT_EQ(merged_tunables("", ""), "");
}

TEST(Measure, CountsFaultsSinceExecAndPassesTunablesOn) {
  auto launcher = Launcher::start({"/bin/sh", "-c", "test \"$GLIBC_TUNABLES\" = glibc.malloc.top_pad=1"}, true);
  ASSERT_TRUE(launcher);
  auto with = launcher->run("glibc.malloc.top_pad=1");
  ASSERT_TRUE(with);
  EXPECT_EQ(with->wait_status, 0);
  EXPECT_GT(with->minor_faults, 20u);
  EXPECT_LT(with->minor_faults, 1000u);
  auto without = launcher->run("");
  ASSERT_TRUE(without);
  EXPECT_NE(without->wait_status, 0);
}

TEST(Measure, ACommandThatCannotStartIsAnError) {
  auto launcher = Launcher::start({"/nonexistent/command"}, true);
  ASSERT_TRUE(launcher);
  EXPECT_FALSE(launcher->run(""));
}

}  // namespace
}  // namespace faultline::analyze
