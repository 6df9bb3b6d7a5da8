// One threshold-type parameter was set: that freezes glibc's dynamic thresholds, and the other one stays at its default.
// mallopt(3), M_MMAP_THRESHOLD: dynamic adjustment is disabled by any of four parameters.
#include <fmt/format.h>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look(const Analysis& analysis) {
  const ThresholdState& state = analysis.retention.thresholds;
  const bool both = state.trim_threshold_set && (state.mmap_threshold_set || state.mmap_max_set);
  if (!state.frozen || both) return std::nullopt;
  const CallCounters& calls = analysis.attribution.calls;
  std::uint64_t repeated = 0;
  for (const Region region : {Region::heap_block, Region::heap_free, Region::mmapped_chunk}) {
    repeated += analysis.attribution.regions[static_cast<std::size_t>(region)].repeated_faults;
  }
  const auto by_malloc = [&calls](trace::CallKind kind) { return static_cast<double>(calls.by_malloc[static_cast<std::size_t>(kind)]); };
  const double cost = static_cast<double>(repeated) * analysis.prices.minor_fault_ns + by_malloc(trace::CallKind::brk) * analysis.prices.brk_ns +
                      by_malloc(trace::CallKind::mmap) * analysis.prices.mmap_ns + by_malloc(trace::CallKind::munmap) * analysis.prices.munmap_ns;
  if (!worth_time(analysis, cost)) return std::nullopt;

  std::string set;
  const auto name = [&set](bool is_set, const char* text) {
    if (is_set) set += set.empty() ? text : std::string(" and ") + text;
  };
  name(state.mmap_threshold_set, "mmap_threshold");
  name(state.trim_threshold_set, "trim_threshold");
  name(state.top_pad_set, "top_pad");
  name(state.mmap_max_set, "mmap_max");
  Finding finding;
  finding.cost_ns = cost;
  finding.title = fmt::format("setting {} alone froze malloc's dynamic thresholds: {} ({} of CPU time) go to repeated calls and faults", set,
                              format_time(cost), format_share(analysis.costs.cpu_share(cost)));
  finding.lines.push_back(fmt::format("mmap threshold stays {}, trim threshold {}, whatever the program does", format_bytes(state.mmap_threshold),
                                      format_bytes(state.trim_threshold)));
  finding.lines.push_back(fmt::format("{} faults on malloc pages that had been faulted in before", format_count(repeated)));
  finding.predicted = gain_by(analysis, {"mmap_threshold=4294967296", "trim_threshold=4294967296"});
  if (finding.predicted) finding.lines.push_back(gain_text(*finding.predicted));
  finding.next = fmt::format("unset it, or set both thresholds: faultline advise {}", analysis.file);
  return finding;
}

FL_REGISTER_FINDING(frozen_threshold, look, false, {"mmap_churn", "trim_churn"});

}  // namespace
}  // namespace faultline::analyze
