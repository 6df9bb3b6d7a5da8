// A healthy program: said with its numbers, so that nobody tunes for nothing.
#include <fmt/format.h>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look(const Analysis& analysis) {
  Finding finding;
  finding.title = fmt::format("nothing to gain here: no pattern costs {} and {} of CPU time, or holds {} and a quarter of the heap", format_time(kWorthNs),
                              format_share(kWorthCpuShare), format_bytes(kWorthBytes));
  const double cost = analysis.costs.total_ns;
  finding.lines.push_back(fmt::format("page faults, memory calls and malloc together: {} ({} of CPU time)", format_time(cost), format_share(analysis.costs.cpu_share(cost))));
  return finding;
}

FL_REGISTER_FINDING(nothing_to_gain, look, true);

}  // namespace
}  // namespace faultline::analyze
