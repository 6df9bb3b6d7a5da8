// Replayer: runs a Program through heap model and twin kernel under one set of malloc parameters.
// One object per replay; it holds its own machine, so replays on two threads are two Replayers over one Program.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "heap/on/logging_memory.h"
#include "heap/parameters.h"
#include "replay/prediction.h"
#include "replay/program.h"
#include "replay/replay_plan.h"

namespace faultline::replay {

// Sees every event after it was replayed.
class ReplayWatch {
 public:
  virtual ~ReplayWatch() = default;
  // result: the model's address (alloc) or return value. calls: what the model asked of the kernel in this event.
  virtual void after(std::size_t index, const Event& event, std::uint64_t result, std::span<const heap::CallRecord> calls) = 0;
};

// The parameters the recorded process ran with.
heap::Parameters recorded_parameters(const Program& program);

// watch may be nullptr: then nothing is logged per event.
Prediction replay(const Program& program, const heap::Parameters& parameters, Placement placement, ReplayWatch* watch = nullptr,
                  Touches touches = Touches::by_faults);

// By a plan; nothing if it was given up.
std::optional<Prediction> replay(const Program& program, const heap::Parameters& parameters, const ReplayPlan& plan);

}  // namespace faultline::replay
