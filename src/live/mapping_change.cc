#include "live/mapping_change.h"

#include <algorithm>

namespace faultline::live {
namespace {

// A mapping that grew down, as stacks do, holds what was its start.
bool same(const Mapping& before, const Mapping& after) { return before.start >= after.start && before.start < after.end; }

}  // namespace

std::vector<MappingChange> compare_mappings(const std::vector<Place>& before, const std::vector<Place>& after) {
  std::vector<MappingChange> changes;
  std::size_t old = 0;
  const auto take_gone = [&](const Place& place) {
    MappingChange change{place, place.mapping.rss_bytes, 0, place.mapping.swapped_bytes, 0, false, true};
    changes.push_back(std::move(change));
  };
  for (const Place& now : after) {
    while (old < before.size() && before[old].mapping.start < now.mapping.start && !same(before[old].mapping, now.mapping)) take_gone(before[old++]);
    MappingChange change{now, 0, now.mapping.rss_bytes, 0, now.mapping.swapped_bytes, true, false};
    while (old < before.size() && same(before[old].mapping, now.mapping)) {
      change.rss_before_bytes += before[old].mapping.rss_bytes;
      change.swapped_before_bytes += before[old].mapping.swapped_bytes;
      change.appeared = false;
      ++old;
    }
    changes.push_back(std::move(change));
  }
  while (old < before.size()) take_gone(before[old++]);
  return changes;
}

}  // namespace faultline::live
