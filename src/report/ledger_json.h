// A ledger as JSON; keys in docs/json.md.
#pragma once

#include <nlohmann/json.hpp>

#include "analyze/ledger/ledger.h"

namespace faultline::report {

nlohmann::ordered_json ledger_json(const analyze::LedgerSeries& series);

}  // namespace faultline::report
