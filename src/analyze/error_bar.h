// ErrorBar: how far a prediction may be off. It covers what verify was off by, the pages whose use the recording does not
// show, and what runs under settings were measured to differ from predictions (bench/whatif).
#pragma once

#include "analyze/what_if.h"
#include "replay/prediction.h"
#include "replay/verify.h"

namespace faultline::analyze {

struct ErrorBar {
  double minor_faults = 0, cost_ns = 0, rss_peak_bytes = 0, rss_end_bytes = 0;
};

ErrorBar error_bar(const replay::Verification& verification, const WhatIf& what_if, const replay::Prediction& predicted, const trace::MachineCosts& costs);

}  // namespace faultline::analyze
