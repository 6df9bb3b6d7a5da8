// Writes after a fork: both processes have the page until one writes; then it is copied, or at least faults. Each page costs that once a fork.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look(const Analysis& analysis) {
  const std::uint64_t copied = analysis.ledger.fork_copies.size(), kept = analysis.ledger.fork_reuses;
  const double cost = static_cast<double>(copied + kept) * analysis.prices.minor_fault_ns;
  const bool much = copied * kPageSize >= kWorthBytes && copied * kPageSize >= analysis.rss_peak_bytes / 4;
  if (!worth_time(analysis, cost) && !much) return std::nullopt;

  Finding finding;
  finding.cost_ns = cost;
  finding.title = fmt::format("{} faults on pages that a fork had left to two processes: {} ({} of CPU time), {} copied", format_count(copied + kept), format_time(cost),
                              format_share(analysis.costs.cpu_share(cost)), format_bytes(copied * kPageSize));
  for (std::size_t i = 0; i < analysis.fork_copies.size() && i < 3; ++i) {
    const TouchSummary& touch = analysis.fork_copies[i];
    finding.lines.push_back(fmt::format("{} pages written by {} ({})", format_count(touch.minor_faults), touch.code.function, touch.code.location()));
  }
  finding.lines.push_back(fmt::format("{} were copied, because the other process still had them; {} only had to be made writable again", format_count(copied), format_count(kept)));
  finding.next = "start programs with posix_spawn or vfork; fork before large data is made, or let the child end before it is written to";
  finding.predicted = Gain{.minor_faults = static_cast<std::int64_t>(copied + kept)};
  return finding;
}

FL_REGISTER_FINDING(fork_copies, look);

}  // namespace
}  // namespace faultline::analyze
