// ReplayPool: answers what-ifs by replays side by side. A setting inside the box of one that was replayed needs no replay of its
// own; one that costs too much, or would end too late, is given up.
#pragma once

#include <algorithm>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "analyze/what_if.h"
#include "heap/outcome_box.h"
#include "replay/prediction.h"
#include "replay/workspace.h"

namespace faultline::analyze {

using Clock = std::chrono::steady_clock;

struct PoolOptions {
  unsigned workers = 2;
  Clock::time_point deadline = Clock::time_point::max();
  double most_cost_ns = 0;  // a replay that costs more is given up
  std::function<void(std::size_t answered, std::size_t replays)> progress;
};

struct Answer {
  enum class Kind : std::uint8_t { replayed, same_box, too_costly, no_time };
  Kind kind = Kind::no_time;
  replay::Prediction predicted;  // of the first two kinds
  bool known() const { return kind == Kind::replayed || kind == Kind::same_box; }
};

class ReplayPool {
 public:
  ReplayPool(const replay::Program& program, PoolOptions options)
      : program_(program), options_(std::move(options)), workspaces_(std::max(options_.workers, 1U)) {}

  // In the order asked. The answers do not depend on the number of workers; which of them were replayed may.
  // No replay is begun after `until`; what is known without one is answered all the same.
  std::vector<Answer> ask(const std::vector<WhatIf>& questions, Clock::time_point until);
  std::size_t replays() const { return replays_; }
  bool in_time() const { return Clock::now() < options_.deadline; }

 private:
  struct Known {
    replay::TrimPeriod trim;
    bool without_mallopt = false;
    std::vector<heap::OutcomeBox> boxes;          // a setting inside all of them has the same answer
    std::optional<replay::Prediction> predicted;  // nothing: too costly
  };

  Answer answer(const WhatIf& question, Clock::time_point until, replay::Workspace& workspace);
  std::optional<Answer> look_up(const WhatIf& question, const heap::Settings& settings);

  const replay::Program& program_;
  const PoolOptions options_;
  std::vector<replay::Workspace> workspaces_;  // by worker
  std::mutex guard_;                           // of what follows
  std::vector<Known> known_;
  std::size_t replays_ = 0, answered_ = 0;
};

}  // namespace faultline::analyze
