#include "analyze/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analyze/search_candidates.h"
#include "analyze/search_choice.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

constexpr std::size_t kRounds = 4;            // of refinement
constexpr std::size_t kRefined = 2;           // candidates refined per round and objective
constexpr double kFirstShare = 0.45, kRefinedShare = 0.8;  // of the time, for first settings and what is around the best
constexpr double kMostCostShare = 0.25;       // of the run: what costs more is given up
constexpr std::size_t kDrawn = 512;           // settings drawn at a time,
constexpr std::size_t kDrawnReplayed = 4;     // of which so many are replayed; what lies in a known box costs nothing
constexpr std::size_t kDrawsWithoutNews = 200; // batches in which nothing new was drawn

class Search {
 public:
  Search(const replay::Program& program, const SearchOptions& options)
      : program_(program), options_(options), deadline_(options.started + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(std::min(options.seconds, 1e8)))) {}

  Advice run() {
    for (Lint& lint : look_for_lints(lint_input(program_, options_.file))) advice_.lints.push_back({std::move(lint), std::nullopt});
    auto verification = replay::verify_until(program_, [this] { return Clock::now() >= deadline_; });
    if (!verification) {
      advice_.out_of_time = true;
      advice_.reason = fmt::format("{:.3g} s (--seconds) are over before one replay of {} events came to its end", options_.seconds, program_.events.size());
      return std::move(advice_);
    }
    advice_.verification = std::move(*verification);
    if (!advice_.verification.holds() && !options_.force) {
      advice_.reason = fmt::format("verify failed ({}): the twin does not reproduce this run, so its predictions are not advice",
                                   failure(advice_.verification));
      return std::move(advice_);
    }
    ReplayPool pool(program_, {.workers = options_.workers,
                               .deadline = deadline_,
                               .most_cost_ns = advice_.baseline().cost_ns + most_more_cost(),
                               .progress = options_.progress});
    pool_ = &pool;
    replay_lints();
    look();
    advice_.replays = pool.replays();
    rank(advice_, program_, options_);
    recommend(advice_, program_, options_);
    return std::move(advice_);
  }

 private:
  const replay::Program& program_;
  const SearchOptions& options_;
  const Clock::time_point deadline_;
  Advice advice_;
  ReplayPool* pool_ = nullptr;
  std::set<Setting> known_;

  double most_more_cost() const {
    const double run = kMostCostShare * static_cast<double>(program_.wall_ns);
    return std::max({run, 1e6, 0.1 * advice_.baseline().cost_ns});
  }

  void replay_lints() {
    for (ReplayedLint& lint : advice_.lints) {
      if (!lint.lint.instead) continue;
      WhatIf question{.parameters = replay::recorded_parameters(program_), .trim = {}, .unset = {}, .arena_estimate = false, .unpriced = {}, .assumptions = {}};
      question.parameters.tunables = *lint.lint.instead;
      const std::vector<Answer> answers = pool_->ask({question}, deadline_);
      if (answers.front().known()) lint.instead = answers.front().predicted;
    }
  }

  void look() {
    const SizeProfile profile = size_profile(program_);
    const Clock::duration left = deadline_ - Clock::now();
    const auto until = [&, start = Clock::now()](double share) { return start + std::chrono::duration_cast<Clock::duration>(left * share); };
    evaluate(without_what_is_set(program_), until(kFirstShare));
    evaluate(first_settings(profile), until(kFirstShare));
    for (std::size_t round = 0; round < kRounds && wanted(); ++round) {
      std::vector<Setting> next;
      for (const Setting& setting : best(kRefined)) {
        for (Setting& near : neighbours(setting)) next.push_back(std::move(near));
      }
      if (!evaluate(next, until(kRefinedShare))) break;
    }
    std::vector<Setting> next = with_more({}, profile);
    for (const Setting& setting : best(1)) {
      for (Setting& more : with_more(setting, profile)) next.push_back(std::move(more));
    }
    evaluate(next, options_.settings == 0 ? deadline_ : until(kRefinedShare));
    if (options_.settings != 0) fill(profile);
  }

  // As many as were asked for.
  void fill(const SizeProfile& profile) {
    SettingSampler sampler(profile);
    for (std::size_t dry = 0; wanted() && pool_->in_time() && dry < kDrawsWithoutNews;) {
      std::vector<Setting> drawn;
      for (std::size_t i = 0; i < kDrawn; ++i) drawn.push_back(sampler.next());
      bool news = evaluate(drawn, Clock::time_point::min());
      std::erase_if(drawn, [&](const Setting& setting) { return known_.contains(setting); });
      drawn.resize(std::min(drawn.size(), kDrawnReplayed));
      news = evaluate(drawn, deadline_) || news;
      dry = news ? 0 : dry + 1;
    }
    if (wanted()) return;
    advice_.out_of_time = false;  // all that was asked for
  }

  bool wanted() const { return options_.settings == 0 || advice_.candidates.size() + advice_.too_costly < options_.settings; }

  // The best so far, for each objective.
  std::vector<Setting> best(std::size_t count) const {
    std::vector<Setting> list;
    for (const Objective objective : {Objective::time, Objective::peak_rss, Objective::end_rss}) {
      if (options_.objective != Objective::any && options_.objective != objective) continue;
      for (const std::size_t index : best_for(objective, advice_.candidates, advice_.baseline(), program_, options_, count))
        list.push_back(advice_.candidates[index].setting);
    }
    std::sort(list.begin(), list.end());
    list.erase(std::unique(list.begin(), list.end()), list.end());
    return list;
  }

  static std::string failure(const replay::Verification& v) {
    if (!v.addresses_equal()) return fmt::format("{} of {} addresses equal", v.addresses_matched, v.addresses_total);
    if (!v.calls_equal()) return fmt::format("{} of {} system calls equal", v.calls_matched, v.calls_total);
    if (!v.faults_within()) return fmt::format("minor faults off by {:.1f} %", 100 * *v.fault_error());
    return fmt::format("peak RSS off by {:.1f} %", 100 * *v.rss_error());
  }

  // True if there was anything new to try, and an answer.
  bool evaluate(const std::vector<Setting>& settings, Clock::time_point until) {
    std::vector<Candidate> fresh;
    std::vector<WhatIf> questions;
    const std::size_t so_far = advice_.candidates.size() + advice_.too_costly;
    for (const Setting& setting : settings) {
      if (options_.settings != 0 && so_far + fresh.size() >= options_.settings) break;
      if (setting.empty() || known_.contains(setting)) continue;
      Candidate candidate;
      candidate.setting = setting;
      auto question = what_if(program_, assignments(setting));
      known_.insert(setting);
      if (!question) continue;
      questions.push_back(*question);
      candidate.what_if = std::move(*question);
      fresh.push_back(std::move(candidate));
    }
    if (fresh.empty()) return false;
    bool any = false;
    const std::vector<Answer> answers = pool_->ask(questions, until);
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (answers[i].kind == Answer::Kind::no_time) {
        known_.erase(fresh[i].setting);
        advice_.out_of_time = true;
        continue;
      }
      any = true;
      if (answers[i].kind == Answer::Kind::too_costly) {
        ++advice_.too_costly;
        continue;
      }
      Candidate& candidate = fresh[i];
      candidate.predicted = answers[i].predicted;
      candidate.replayed = answers[i].kind == Answer::Kind::replayed;
      candidate.saved_ns = advice_.baseline().cost_ns - candidate.predicted.cost_ns;
      candidate.error = error_bar(advice_.verification, candidate.what_if, candidate.predicted, program_.costs);
      const auto before = static_cast<double>(advice_.baseline().rss_peak_bytes), growth = static_cast<double>(candidate.predicted.rss_peak_bytes) - before;
      candidate.raises_peak = growth > options_.allowed_peak_growth * before && growth > SearchOptions::kAllowedBytes;
      advice_.candidates.push_back(std::move(candidate));
    }
    return any;
  }
};

}  // namespace

std::map<std::string, Objective> objective_names() {
  return {{"any", Objective::any}, {"time", Objective::time}, {"peak-rss", Objective::peak_rss}, {"end-rss", Objective::end_rss}};
}

std::string name_of(Objective objective) {
  for (const auto& [name, value] : objective_names())
    if (value == objective) return name;
  return {};
}

Advice search(const replay::Program& program, const SearchOptions& options) { return Search(program, options).run(); }

}  // namespace faultline::analyze
