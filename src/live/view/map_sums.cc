#include <algorithm>
#include <array>

#include "live/view/map_view.h"

namespace faultline::live {
namespace {

void add(KindSum& sum, const Mapping& mapping) {
  ++sum.mappings;
  sum.size_bytes += mapping.size_bytes();
  sum.rss_bytes += mapping.rss_bytes;
  sum.pss_bytes += mapping.pss_bytes;
  sum.swapped_bytes += mapping.swapped_bytes;
  sum.huge_bytes += mapping.huge_bytes;
}

}  // namespace

std::vector<KindSum> sums_by_kind(const std::vector<Place>& places) {
  std::array<KindSum, kKindCount> sums;
  for (const Place& place : places) {
    KindSum& sum = sums[static_cast<std::size_t>(place.kind)];
    sum.kind = place.kind;
    add(sum, place.mapping);
  }
  std::vector<KindSum> result;
  for (const KindSum& sum : sums) {
    if (sum.mappings > 0) result.push_back(sum);
  }
  std::stable_sort(result.begin(), result.end(), [](const KindSum& x, const KindSum& y) { return x.rss_bytes > y.rss_bytes; });
  return result;
}

KindSum sum_of(const std::vector<Place>& places) {
  KindSum sum;
  for (const Place& place : places) add(sum, place.mapping);
  return sum;
}

}  // namespace faultline::live
