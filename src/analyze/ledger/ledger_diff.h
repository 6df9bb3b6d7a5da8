// What changed between two ledgers: of one process at two moments, or of two recordings.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "analyze/ledger/ledger.h"

namespace faultline::analyze {

struct BeforeAfter {  // bytes, or blocks
  std::uint64_t before = 0, after = 0;
  std::int64_t change() const { return static_cast<std::int64_t>(after) - static_cast<std::int64_t>(before); }
};

struct LedgerSiteChange {
  SiteName name;
  BeforeAfter resident, untouched, blocks;
};
struct LedgerFileChange {
  std::string path;
  BeforeAfter bytes;
};

struct LedgerDiff {
  BeforeAfter rss, live_untouched, page_tables, mappings;
  std::array<BeforeAfter, kLedgerParts> parts;
  std::vector<LedgerSiteChange> sites;  // greatest change of resident bytes first, either way; none without one
  std::vector<LedgerFileChange> files;  // the same
};

// Sites are the same where their keys are; of two recordings that is function, file and line.
LedgerDiff diff_of(const Ledger& before, const Ledger& after);

}  // namespace faultline::analyze
