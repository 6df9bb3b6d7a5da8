// What became of a process's mappings between two looks. The kernel counts faults for a process, not for a mapping: what is known of
// a mapping is which memory came and went.
#pragma once

#include <cstdint>
#include <vector>

#include "live/layout.h"

namespace faultline::live {

struct MappingChange {
  Place place;  // as it is now; of a mapping that is gone: as it was
  std::uint64_t rss_before_bytes = 0, rss_after_bytes = 0;
  std::uint64_t swapped_before_bytes = 0, swapped_after_bytes = 0;
  bool appeared = false, gone = false;

  std::int64_t rss_rise_bytes() const { return static_cast<std::int64_t>(rss_after_bytes) - static_cast<std::int64_t>(rss_before_bytes); }
  std::int64_t swap_rise_bytes() const { return static_cast<std::int64_t>(swapped_after_bytes) - static_cast<std::int64_t>(swapped_before_bytes); }
  bool any() const { return rss_rise_bytes() != 0 || swap_rise_bytes() != 0; }
};

// One row per mapping of `after`, and one per mapping of `before` that has no place there any more, by address. Where mappings grew
// together the row has the sum of what they were; where one was split the piece at its start has it: the sum over all rows is exact.
std::vector<MappingChange> compare_mappings(const std::vector<Place>& before, const std::vector<Place>& after);

}  // namespace faultline::live
