#include "replay/heap_start.h"

#include <algorithm>

#include "base/units.h"
#include "replay/smaps.h"

namespace faultline::replay {

bool heap_is_randomised(const trace::ProcessInfo& process) {
  const std::vector<Mapping> mappings = parse_smaps(process.start_maps);
  const auto heap = std::find_if(mappings.begin(), mappings.end(), [](const Mapping& mapping) { return mapping.name == "[heap]"; });
  const std::uint64_t begin = heap != mappings.end() ? heap->start : page_floor(process.initial_brk);
  if (mappings.empty() || begin == 0) return false;
  return std::none_of(mappings.begin(), mappings.end(), [&](const Mapping& mapping) { return mapping.end == begin; });
}

}  // namespace faultline::replay
