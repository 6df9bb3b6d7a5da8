// The address space of a process on a page: sums by kind, then every mapping low to high with its residency.
#pragma once

#include <string>
#include <vector>

#include "live/pagemap.h"
#include "live/process_view.h"
#include "report/text.h"

namespace faultline::live {

struct KindSum {
  Kind kind = Kind::anonymous;
  std::size_t mappings = 0;
  std::uint64_t size_bytes = 0, rss_bytes = 0, pss_bytes = 0, swapped_bytes = 0, huge_bytes = 0;
};
std::vector<KindSum> sums_by_kind(const std::vector<Place>& places);  // most resident first, none without mappings
KindSum sum_of(const std::vector<Place>& places);                     // of all; kind means nothing

// residency: one per place; empty where it is not known (pagemap not permitted).
std::string render_map(const ProcessView& view, const std::vector<Residency>& residency, report::Style style);
std::string render_map_json(const ProcessView& view, const std::vector<Residency>& residency);

// One line per place: address, size, resident, rights, bar, label; as wide as asked. With the gaps between far mappings.
std::string place_line(const Place& place, const Residency& residency, std::size_t bar_columns);
std::size_t bar_columns_for(std::size_t width);

}  // namespace faultline::live
