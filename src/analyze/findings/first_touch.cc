// Fresh memory is touched for the first time: unavoidable page by page, but its price is worth knowing.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr double kShare = 0.05;  // below 5 % of the CPU time even none of them would be felt

std::optional<Finding> look(const Analysis& analysis) {
  std::uint64_t first = 0;
  for (const Region region : {Region::heap_block, Region::heap_free, Region::mmapped_chunk}) {
    const RegionCounters& row = analysis.attribution.regions[static_cast<std::size_t>(region)];
    first += row.minor_faults - std::min(row.minor_faults, row.repeated_faults);
  }
  const double cost = static_cast<double>(first) * analysis.prices.minor_fault_ns;
  if (!worth_time(analysis, cost) || analysis.costs.cpu_share(cost) < kShare) return std::nullopt;

  Finding finding;
  finding.cost_ns = cost;
  finding.title = fmt::format("{} malloc pages were touched for the first time: {} ({} of CPU time)", format_count(first), format_time(cost),
                              format_share(analysis.costs.cpu_share(cost)));
  std::vector<const SiteRow*> sites;
  for (const SiteRow& row : analysis.sites) {
    if (row.counters.distinct_pages > 0) sites.push_back(&row);
  }
  std::sort(sites.begin(), sites.end(), [](const SiteRow* x, const SiteRow* y) { return x->counters.distinct_pages > y->counters.distinct_pages; });
  for (std::size_t i = 0; i < sites.size() && i < 3; ++i) {
    finding.lines.push_back(fmt::format("{} ({}): {} pages, {}", sites[i]->name.function, sites[i]->name.location(),
                                        format_count(sites[i]->counters.distinct_pages), format_bytes(sites[i]->counters.distinct_pages * kPageSize)));
  }
  if (analysis.glibc_heap()) {
    finding.lines.push_back("a page costs this once; reuse memory, touch less of it, or use huge pages (glibc.malloc.hugetlb=1)");
    if (analysis.thp_mode == "madvise") finding.predicted = gain_by(analysis, {"hugetlb=1"});
    if (finding.predicted) finding.lines.push_back(gain_text(*finding.predicted) + " (a huge fault clears 2 MiB, and costs more than one)");
    finding.next = fmt::format("faultline advise {}", analysis.file);
  } else {
    finding.lines.push_back("a page costs this once; reuse memory or touch less of it");
  }
  return finding;
}

FL_REGISTER_FINDING(first_touch, look);

}  // namespace
}  // namespace faultline::analyze
