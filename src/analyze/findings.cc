#include "analyze/findings.h"

#include <algorithm>

#include "analyze/analysis.h"

namespace faultline::analyze {

bool worth_time(const Analysis& analysis, double ns) {
  return ns >= kWorthNs && (analysis.costs.cpu_share(ns) >= kWorthCpuShare || analysis.costs.user_ns + analysis.costs.system_ns == 0);
}

std::vector<Finding> look_for_findings(const Analysis& analysis) {
  std::vector<Finding> found;
  const auto look = [&](bool only_alone) {
    for (const FindingDescriptor& descriptor : Registry<FindingDescriptor>::instance().entries()) {
      if (descriptor.only_alone != only_alone) continue;
      if (std::optional<Finding> finding = descriptor.look(analysis)) {
        finding->id = descriptor.name;
        found.push_back(std::move(*finding));
      }
    }
  };
  look(false);
  if (found.empty()) look(true);
  std::stable_sort(found.begin(), found.end(), [](const Finding& x, const Finding& y) {
    return x.cost_ns != y.cost_ns ? x.cost_ns > y.cost_ns : x.bytes > y.bytes;
  });
  return found;
}

}  // namespace faultline::analyze
