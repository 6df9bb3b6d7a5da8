// Blocks of one site are mapped and unmapped again and again: every round pays two calls and a fault per page.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kRounds = 16;  // fewer is start-up, not churn

double cost_of(const SiteRow& row, const Analysis& analysis) {
  const SiteCounters& counters = row.counters;
  const trace::MachineCosts& price = analysis.prices;
  const auto pages = static_cast<double>(std::min(counters.unmapped_bytes / kPageSize, counters.mmapped_faults));
  return static_cast<double>(counters.mmapped_frees) * (price.mmap_ns + price.munmap_ns) +
         static_cast<double>(counters.mmapped_faults) * price.minor_fault_ns + pages * price.munmap_page_ns;
}

std::optional<Finding> look(const Analysis& analysis) {
  std::vector<const SiteRow*> sites;
  double cost = 0;
  std::uint64_t rounds = 0, faults = 0;
  for (const SiteRow& row : analysis.sites) {
    if (row.counters.mmapped_frees < kRounds) continue;
    sites.push_back(&row);
    cost += cost_of(row, analysis);
    rounds += row.counters.mmapped_frees;
    faults += row.counters.mmapped_faults;
  }
  if (sites.empty() || !worth_time(analysis, cost)) return std::nullopt;
  std::sort(sites.begin(), sites.end(), [&](const SiteRow* x, const SiteRow* y) { return cost_of(*x, analysis) > cost_of(*y, analysis); });

  Finding finding;
  finding.cost_ns = cost;
  finding.title = fmt::format("{} blocks were mapped, touched and unmapped again: {} ({} of CPU time)", format_count(rounds),
                              format_time(cost), format_share(analysis.costs.cpu_share(cost)));
  finding.lines.push_back(fmt::format("{} page faults in them; each round starts with untouched pages", format_count(faults)));
  for (std::size_t i = 0; i < sites.size() && i < 3; ++i) {
    const SiteCounters& counters = sites[i]->counters;
    finding.lines.push_back(fmt::format("{} ({}): {} of about {}, {} faults, {}", sites[i]->name.function, sites[i]->name.location(),
                                        format_count(counters.mmapped_calls), format_bytes(counters.mmapped_bytes / std::max<std::uint64_t>(1, counters.mmapped_calls)),
                                        format_count(counters.mmapped_faults), format_time(cost_of(*sites[i], analysis))));
  }
  finding.predicted = gain_by(analysis, {"mmap_threshold=4294967296", "trim_threshold=4294967296"});
  if (finding.predicted) finding.lines.push_back(gain_text(*finding.predicted));
  finding.next = fmt::format("faultline advise {}", analysis.file);
  return finding;
}

FL_REGISTER_FINDING(mmap_churn, look);

}  // namespace
}  // namespace faultline::analyze
