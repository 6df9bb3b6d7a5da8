// Live memory of a call site that grows all the time, to the end: a leak, or a cache without a limit. Looked at after each fifth of the
// process's life, so that what is built once and then used is none.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr double kLeastStep = 0.1;   // of the growth, in each fifth
constexpr double kLeastShare = 0.1;  // of the memory at the end

struct Growth {
  const LedgerSite* end = nullptr;
  std::array<std::uint64_t, 5> live{};
  std::uint64_t grown() const { return live.back() - std::min(live.back(), live.front()); }
  bool steady() const {
    for (std::size_t i = 1; i < live.size(); ++i) {
      if (live[i] < live[i - 1] || static_cast<double>(live[i] - live[i - 1]) < kLeastStep * static_cast<double>(grown())) return false;
    }
    return true;
  }
};

std::vector<Growth> growing(const Analysis& analysis) {
  std::map<std::string, Growth> sites;
  for (std::size_t i = 0; i < analysis.life.size(); ++i) {
    for (const LedgerSite& site : analysis.life[i].sites) {
      Growth& growth = sites[site.name.key()];
      growth.live.at(i) = site.resident_bytes + site.untouched_bytes;
      if (i + 1 == analysis.life.size()) growth.end = &site;
    }
  }
  std::vector<Growth> found;
  for (const auto& [key, growth] : sites) {
    if (growth.end != nullptr && growth.grown() >= kWorthBytes && growth.steady()) found.push_back(growth);
  }
  std::sort(found.begin(), found.end(), [](const Growth& x, const Growth& y) { return x.grown() > y.grown(); });
  return found;
}

std::optional<Finding> look(const Analysis& analysis) {
  if (analysis.life.size() != 5) return std::nullopt;
  const std::vector<Growth> found = growing(analysis);
  const Ledger& end = analysis.life.back();
  std::uint64_t grown = 0, resident = 0;
  for (const Growth& growth : found) grown += growth.grown(), resident += growth.end->resident_bytes;
  const double seconds = static_cast<double>(end.time_ns - analysis.life.front().time_ns) / 1e9;
  if (grown < kWorthBytes || static_cast<double>(resident) < kLeastShare * static_cast<double>(end.sum_bytes()) || seconds <= 0) return std::nullopt;

  // What each block costs besides what was asked for.
  const std::uint64_t live = end[LedgerPart::heap_live] + end[LedgerPart::mmapped_live], over = end[LedgerPart::heap_rounding] + end[LedgerPart::mmapped_rounding];
  const auto held = static_cast<std::uint64_t>(static_cast<double>(resident) * (1 + static_cast<double>(over) / static_cast<double>(std::max<std::uint64_t>(live, 1))));

  Finding finding;
  finding.bytes = held;
  finding.title = fmt::format("live memory grew to the end: {} at {} a second, never given back", format_bytes(grown), format_bytes(static_cast<std::uint64_t>(static_cast<double>(grown) / seconds)));
  for (std::size_t i = 0; i < found.size() && i < 3; ++i) {
    const Growth& growth = found[i];
    const auto row = std::find_if(analysis.sites.begin(), analysis.sites.end(), [&](const SiteRow& site) { return site.name.key() == growth.end->name.key(); });
    std::string freed;
    if (row != analysis.sites.end()) freed = fmt::format(", {} of {} blocks freed", format_count(row->counters.frees), format_count(row->counters.calls));
    finding.lines.push_back(fmt::format("{} ({}): {} live at the end, {}, {}, {} and {} before, fifth by fifth{}", growth.end->name.function, growth.end->name.location(), format_bytes(growth.live[4]),
                                        format_bytes(growth.live[3]), format_bytes(growth.live[2]), format_bytes(growth.live[1]), format_bytes(growth.live[0]), freed));
  }
  finding.next = "free these blocks, or give what holds them a limit";
  finding.predicted = Gain{.rss_end_bytes = static_cast<std::int64_t>(held)};
  return finding;
}

FL_REGISTER_FINDING(slow_growth, look);

}  // namespace
}  // namespace faultline::analyze
