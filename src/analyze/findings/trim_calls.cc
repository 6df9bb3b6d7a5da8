// The program calls malloc_trim itself: what came back, and what was faulted in again afterwards.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look(const Analysis& analysis) {
  const TrimCounters& trims = analysis.attribution.trims;
  if (trims.calls == 0 || !analysis.twin_without_trims) return std::nullopt;
  const auto answer = analysis.twin({});
  const auto without = analysis.twin_without_trims();
  const replay::Prediction* const with = answer ? &answer->prediction : nullptr;
  if (with == nullptr || !without || with->minor_faults() <= without->minor_faults()) return std::nullopt;
  const std::uint64_t again = with->minor_faults() - without->minor_faults();
  const double cost = static_cast<double>(again) * analysis.prices.minor_fault_ns + static_cast<double>(trims.advice_calls) * analysis.prices.madvise_ns;
  if (!worth_time(analysis, cost)) return std::nullopt;

  Finding finding;
  finding.cost_ns = cost;
  finding.predicted = gain_between(*with, *without);
  finding.title = fmt::format("malloc_trim was called {} times, and {} pages it gave back were faulted in again: {} ({} of CPU time)", format_count(trims.calls), format_count(again),
                              format_time(cost), format_share(analysis.costs.cpu_share(cost)));
  finding.lines.push_back(fmt::format("it advised {} away and moved the break down by {}", format_bytes(trims.advised_bytes), format_bytes(trims.break_bytes)));
  finding.lines.push_back(fmt::format("the twin without these calls: {} minor faults instead of {}, peak RSS {} instead of {}, at exit {} instead of {}", format_count(without->minor_faults()),
                                      format_count(with->minor_faults()), format_bytes(without->rss_peak_bytes), format_bytes(with->rss_peak_bytes), format_bytes(without->rss_end_bytes),
                                      format_bytes(with->rss_end_bytes)));
  finding.next = without->rss_peak_bytes > with->rss_peak_bytes + with->rss_peak_bytes / 50 ? "call it less often: after a large phase, not within one" : "leave the calls out: they do not lower the peak";
  return finding;
}

FL_REGISTER_FINDING(trim_calls, look);

}  // namespace
}  // namespace faultline::analyze
