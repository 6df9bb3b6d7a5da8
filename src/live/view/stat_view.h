// What `stat` prints: a line a look, and a table of the mappings whose memory came or went.
#pragma once

#include <string>
#include <vector>

#include "live/mapping_change.h"
#include "live/process_watch.h"
#include "report/text.h"

namespace faultline::live {

struct StatColumns {
  bool pid = false;       // several processes: which one
  bool rates = true;      // there is an interval
  bool pressure = true;   // the kernel tells
};
std::string stat_titles(const StatColumns& columns);
std::string stat_line(const WatchSample& sample, const StatColumns& columns);

// The mappings that changed, the most first, at most `most`; and what all others sum to.
std::string render_changes(const std::vector<MappingChange>& changes, std::size_t most, report::Style style);

// One line. changes: null where mappings were not asked for; why_not: why they are not there although asked for.
std::string stat_json(const WatchSample& sample, const std::string& command, const std::string& pressure_scope, const std::vector<MappingChange>* changes,
                      const std::string& why_not);

}  // namespace faultline::live
