// Ledgers of one process at any number of moments, by one pass over the kernel's side of the recording and one over malloc's (and one
// more over the kernel's if the peak is asked for: when it is has to be found first).
#pragma once

#include <functional>
#include <span>

#include "analyze/ledger/ledger.h"
#include "analyze/ledger/ledger_moment.h"
#include "replay/program.h"
#include "trace/recording.h"

namespace faultline::analyze {

// program: the process's heap events, loaded (replay/load.h). Null, with heap_why_not, where malloc cannot be divided.
// name_of: of call stacks; those with the same key are one site.
LedgerSeries ledger_series(trace::Recording& recording, const trace::ProcessInfo& process, const replay::Program* program, std::string heap_why_not,
                           std::span<const LedgerMoment> moments, const std::function<const SiteName&(trace::StackId)>& name_of);

}  // namespace faultline::analyze
