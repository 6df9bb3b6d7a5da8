// Where no setting gives memory back: what holds it. Live blocks are no setting's business, and free memory below or beside a
// live block cannot go while that block is there: the sites that allocated them are what there is to change.
#pragma once

#include <string>
#include <vector>

#include "analyze/analysis.h"
#include "analyze/search.h"

namespace faultline::analyze {

struct HeldMemory {
  enum class Kind : std::uint8_t { live_at_peak, live_at_end, pins_break, shares_pages };
  Kind kind = Kind::live_at_peak;
  std::string site;          // "function (file.cc:12)"
  std::uint64_t bytes = 0;   // live, or free memory held
  std::uint64_t blocks = 0;  // of the site that do so
  double share = 0;          // of the peak RSS, or of the RSS at exit

  std::string text() const;
};
const char* name_of(HeldMemory::Kind kind);

// True if the search found no setting that lowers peak RSS or RSS at exit by much, though there is some to give back.
bool memory_is_held(const Advice& advice);

// Sites that hold at least 1 MiB and a tenth of the resident memory, most first, by kind.
std::vector<HeldMemory> held_memory(const Analysis& analysis, const Advice& advice);

}  // namespace faultline::analyze
