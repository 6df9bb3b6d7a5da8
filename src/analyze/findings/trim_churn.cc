// The break goes down and up again: memory is given back by free and fetched again by the next malloc, page by page.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kShrinks = 8;

std::optional<Finding> look(const Analysis& analysis) {
  const CallCounters& calls = analysis.attribution.calls;
  if (2 * analysis.attribution.trims.break_bytes > calls.brk_shrunk_bytes) return std::nullopt;  // the program's own calls: trim_calls
  const bool unseen = calls.count[static_cast<std::size_t>(trace::CallKind::brk)] == 0;  // no tracepoints: only the faults tell
  if (!unseen && (calls.brk_shrinks < kShrinks || calls.brk_regrown_bytes == 0)) return std::nullopt;
  std::uint64_t repeated = 0;
  for (const Region region : {Region::heap_block, Region::heap_free}) {
    repeated += analysis.attribution.regions[static_cast<std::size_t>(region)].repeated_faults;
  }
  const double cost = static_cast<double>(repeated) * analysis.prices.minor_fault_ns +
                      2 * static_cast<double>(calls.brk_shrinks) * analysis.prices.brk_ns;
  if (!worth_time(analysis, cost)) return std::nullopt;

  Finding finding;
  finding.cost_ns = cost;
  finding.next = fmt::format("faultline advise {}", analysis.file);
  finding.predicted = gain_by(analysis, {"mmap_threshold=4294967296", "trim_threshold=4294967296"});
  if (finding.predicted) finding.lines.push_back(gain_text(*finding.predicted));
  if (unseen) {
    finding.title = fmt::format("{} heap pages faulted again: they were given back and fetched again: {} ({} of CPU time)", format_count(repeated),
                                format_time(cost), format_share(analysis.costs.cpu_share(cost)));
    finding.lines.push_back("the memory calls that did it were not recorded");
    return finding;
  }
  finding.title = fmt::format("the heap was trimmed {} times and grew back: {} ({} of CPU time)", format_count(calls.brk_shrinks),
                              format_time(cost), format_share(analysis.costs.cpu_share(cost)));
  finding.lines.push_back(fmt::format("{} given back, {} fetched again; {} faults on heap pages that had been faulted in before",
                                      format_bytes(calls.brk_shrunk_bytes), format_bytes(calls.brk_regrown_bytes), format_count(repeated)));
  std::vector<const SiteRow*> sites;
  for (const SiteRow& row : analysis.sites) {
    if (row.counters.brk_shrinks > 0) sites.push_back(&row);
  }
  std::sort(sites.begin(), sites.end(), [](const SiteRow* x, const SiteRow* y) { return x->counters.brk_shrunk_bytes > y->counters.brk_shrunk_bytes; });
  for (std::size_t i = 0; i < sites.size() && i < 3; ++i) {
    finding.lines.push_back(fmt::format("freeing blocks of {} ({}) trimmed {} times, {}", sites[i]->name.function, sites[i]->name.location(),
                                        format_count(sites[i]->counters.brk_shrinks), format_bytes(sites[i]->counters.brk_shrunk_bytes)));
  }
  return finding;
}

FL_REGISTER_FINDING(trim_churn, look);

}  // namespace
}  // namespace faultline::analyze
