// What a setting brings, where it hangs on the place of the heap. With huge pages a fault brings what lies with it in 2 MiB, and each
// run has its heap elsewhere: python3 under hugetlb=1 took 1,072 to 1,614 faults in 15 runs of the same work; the
// replays of 16 places said 1,079 to 1,609.
#pragma once

#include <optional>
#include <vector>

#include "analyze/what_if.h"
#include "heap/outcome_box.h"
#include "replay/prediction.h"
#include "replay/replay_plan.h"

namespace faultline::analyze {

// One replay, or where the place of the heap matters and differs from run to run, several: then the one whose faults are in the
// middle, and how far the others are from it (Prediction::of_placement). Nothing: the plan gave up.
// boxes: gets one of each replay; a setting that all of them cover has the same answer.
std::optional<replay::Prediction> predict(const replay::Program& program, const WhatIf& question, replay::ReplayPlan plan = {},
                                          std::vector<heap::OutcomeBox>* boxes = nullptr);

}  // namespace faultline::analyze
