// Blocks freed by the very next heap call of their thread, again and again: a buffer made for each use.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr double kLeastShare = 0.5;  // of the site's blocks

std::optional<Finding> look(const Analysis& analysis) {
  std::vector<const SiteRow*> sites;
  std::uint64_t blocks = 0;
  for (const SiteRow& row : analysis.sites) {
    if (static_cast<double>(row.counters.temporary) < kLeastShare * static_cast<double>(row.counters.calls) || row.counters.temporary == 0) continue;
    sites.push_back(&row);
    blocks += row.counters.temporary;
  }
  const double cost = static_cast<double>(blocks) * analysis.prices.malloc_free_pair_ns;
  if (!worth_time(analysis, cost)) return std::nullopt;
  std::sort(sites.begin(), sites.end(), [](const SiteRow* x, const SiteRow* y) { return x->counters.temporary > y->counters.temporary; });

  Finding finding;
  finding.cost_ns = cost;
  finding.title = fmt::format("{} blocks were freed by the next call after they were made: at least {} ({} of CPU time) in malloc and free", format_count(blocks), format_time(cost),
                              format_share(analysis.costs.cpu_share(cost)));
  for (std::size_t i = 0; i < sites.size() && i < 3; ++i) {
    const SiteCounters& counters = sites[i]->counters;
    finding.lines.push_back(fmt::format("{} ({}): {} of {} blocks, {} each on average", sites[i]->name.function, sites[i]->name.location(), format_count(counters.temporary),
                                        format_count(counters.calls), format_bytes(counters.allocated_bytes / std::max<std::uint64_t>(counters.calls, 1))));
  }
  finding.lines.push_back(fmt::format("priced as a pair that hits the thread's cache, {}", format_time(analysis.prices.malloc_free_pair_ns)));
  finding.next = "keep one buffer there and use it again, or put it on the stack";
  finding.predicted = Gain{.allocations = static_cast<std::int64_t>(blocks)};
  return finding;
}

FL_REGISTER_FINDING(temporary_blocks, look);

}  // namespace
}  // namespace faultline::analyze
