#include "analyze/findings.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {

bool worth_time(const Analysis& analysis, double ns) {
  return ns >= kWorthNs && (analysis.costs.cpu_share(ns) >= kWorthCpuShare || analysis.costs.user_ns + analysis.costs.system_ns == 0);
}

double score(const Analysis& analysis, const Finding& finding) {
  const double whole = static_cast<double>(std::max<std::uint64_t>(analysis.rss_peak_bytes, 1));
  return std::max(analysis.costs.cpu_share(finding.cost_ns), analysis.rss_peak_bytes == 0 ? 0 : static_cast<double>(finding.bytes) / whole);
}

namespace {

// A cause goes to where the first of its consequences stands, if that is before it.
void put_causes_first(std::vector<Finding>& found) {
  for (const FindingDescriptor& descriptor : Registry<FindingDescriptor>::instance().entries()) {
    const auto cause = std::find_if(found.begin(), found.end(), [&](const Finding& finding) { return finding.id == descriptor.name; });
    const auto consequence = std::find_if(found.begin(), cause, [&](const Finding& finding) {
      return std::find(descriptor.explains.begin(), descriptor.explains.end(), finding.id) != descriptor.explains.end();
    });
    if (cause != found.end() && consequence != cause) std::rotate(consequence, cause, std::next(cause));
  }
}

}  // namespace

Gain gain_between(const replay::Prediction& before, const replay::Prediction& after) {
  const auto less = [](std::uint64_t x, std::uint64_t y) { return static_cast<std::int64_t>(x) - static_cast<std::int64_t>(y); };
  return {.minor_faults = less(before.minor_faults(), after.minor_faults()), .rss_peak_bytes = less(before.rss_peak_bytes, after.rss_peak_bytes),
          .rss_end_bytes = less(before.rss_end_bytes, after.rss_end_bytes)};
}

std::optional<Gain> gain_by(const Analysis& analysis, const std::vector<std::string>& settings) {
  if (!analysis.twin) return std::nullopt;
  const auto before = analysis.twin({}), after = analysis.twin(settings);
  if (!before || !after) return std::nullopt;
  Gain gain = gain_between(before->prediction, after->prediction);
  gain.env = after->env;
  return gain;
}

std::string gain_text(const Gain& gain) {
  const auto amount = [](std::int64_t value) { return static_cast<std::uint64_t>(value < 0 ? -value : value); };
  const auto bytes = [&](const char* what, std::int64_t value) {
    return amount(value) < 65536 ? std::string() : fmt::format(", {} {} {}", what, format_bytes(amount(value)), value > 0 ? "lower" : "higher");
  };
  return fmt::format("the twin{}{}: {} minor faults {}{}{}", gain.env.empty() ? "" : " with ", gain.env, format_count(amount(gain.minor_faults)), gain.minor_faults >= 0 ? "fewer" : "more",
                     bytes("peak RSS", gain.rss_peak_bytes), bytes("RSS at exit", gain.rss_end_bytes));
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
  std::stable_sort(found.begin(), found.end(), [&](const Finding& x, const Finding& y) { return score(analysis, x) > score(analysis, y); });
  put_causes_first(found);
  return found;
}

}  // namespace faultline::analyze
