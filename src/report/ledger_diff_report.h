// Two ledgers beside each other, for people and for programs.
#pragma once

#include <string>

#include "analyze/ledger/ledger_diff.h"
#include "report/text.h"

namespace faultline::report {

struct LedgerDiffSide {
  std::string file, when;
  analyze::Ledger ledger;
  std::string heap_why_not;
};

struct LedgerDiffReport {
  LedgerDiffSide before, after;
  analyze::LedgerDiff diff;  // sites and files cut to --top
};

std::string render_terminal(const LedgerDiffReport& report, const Style& style);
std::string render_json(const LedgerDiffReport& report);

}  // namespace faultline::report
