#include "analyze/search_pool.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "analyze/placements.h"

namespace faultline::analyze {

std::optional<Answer> ReplayPool::look_up(const WhatIf& question, const heap::Settings& settings) {
  const std::lock_guard lock(guard_);
  for (const Known& known : known_) {
    if (known.trim != question.trim || known.without_mallopt != question.without_mallopt || !std::all_of(known.boxes.begin(), known.boxes.end(), [&](const heap::OutcomeBox& box) { return box.covers(settings); })) continue;
    ++answered_;
    if (!known.predicted) return Answer{.kind = Answer::Kind::too_costly, .predicted = {}};
    return Answer{.kind = Answer::Kind::same_box, .predicted = *known.predicted};
  }
  return std::nullopt;
}

Answer ReplayPool::answer(const WhatIf& question, Clock::time_point until, replay::Workspace& workspace) {
  const heap::Settings settings(question.parameters);
  if (auto found = look_up(question, settings)) return *found;
  if (Clock::now() >= std::min(until, options_.deadline)) return {};
  Known known{.trim = question.trim, .without_mallopt = question.without_mallopt, .boxes = {}, .predicted = {}};
  replay::ReplayPlan plan;
  plan.workspace = &workspace;
  bool late = false;
  plan.give_up = [&](const replay::ReplayProgress& so_far) {
    late = !in_time();
    return late || so_far.cost_ns > options_.most_cost_ns;
  };
  known.predicted = predict(program_, question, plan, &known.boxes);
  if (late && !known.predicted) return {};
  Answer result{.kind = known.predicted ? Answer::Kind::replayed : Answer::Kind::too_costly, .predicted = known.predicted.value_or(replay::Prediction{})};
  const std::lock_guard lock(guard_);
  ++replays_;
  ++answered_;
  known_.push_back(std::move(known));
  if (options_.progress) options_.progress(answered_, replays_);
  return result;
}

std::vector<Answer> ReplayPool::ask(const std::vector<WhatIf>& questions, Clock::time_point until) {
  std::vector<Answer> answers(questions.size());
  std::atomic<std::size_t> next{0};
  const auto work = [&](replay::Workspace& workspace) {
    for (std::size_t i = next++; i < questions.size(); i = next++) answers[i] = answer(questions[i], until, workspace);
  };
  std::vector<std::thread> workers;
  for (unsigned i = 1; i < options_.workers && i < questions.size(); ++i) workers.emplace_back(work, std::ref(workspaces_[i]));
  work(workspaces_.front());
  for (std::thread& worker : workers) worker.join();
  return answers;
}

}  // namespace faultline::analyze
