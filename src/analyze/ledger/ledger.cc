#include "analyze/ledger/ledger.h"

#include <numeric>

namespace faultline::analyze {

std::uint64_t Ledger::sum_bytes() const { return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0}); }

std::string_view name_of(LedgerGroup group) {
  switch (group) {
    case LedgerGroup::live: return "live";
    case LedgerGroup::overhead: return "overhead";
    case LedgerGroup::retained: return "retained";
    case LedgerGroup::program: return "program";
    case LedgerGroup::files: return "files";
    case LedgerGroup::recorder: return "recorder";
  }
  return "";
}

}  // namespace faultline::analyze
