// Thread arenas that hold free memory: each keeps what its threads needed at most, and only malloc_trim or sharing gives it up.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

using heap::Part;

constexpr double kLeastShare = 0.25;  // of resident memory
constexpr double kNearBest = 0.8;     // a higher limit is kinder to threads: taken if it brings this much of the lowest's gain

std::uint64_t free_of(const heap::ArenaAccount& arena) {
  std::uint64_t bytes = 0;
  for (const Part part : {Part::tcache, Part::fastbins, Part::trimmable, Part::pinned, Part::top_trimmable, Part::top_kept}) bytes += arena[part].resident;
  return bytes;
}

std::uint64_t free_in_threads(const HeapMomentState& moment) {
  std::uint64_t bytes = 0;
  for (std::size_t id = 1; id < moment.accounting.arenas.size(); ++id) bytes += free_of(moment.accounting.arenas[id]);
  return bytes;
}

// The limit worth trying, and what it brings; nothing if none brings a tenth of the peak.
std::optional<Gain> best_limit(const Analysis& analysis, std::size_t arenas) {
  const auto gain_of = [&](std::size_t limit) { return gain_by(analysis, {fmt::format("arena_max={}", limit)}); };
  const auto worth = [](const Gain& gain) { return std::max(gain.rss_peak_bytes, gain.rss_end_bytes); };
  std::optional<Gain> best = gain_of(1);
  if (!best || static_cast<double>(worth(*best)) < 0.1 * static_cast<double>(analysis.rss_peak_bytes)) return std::nullopt;
  const auto least = static_cast<std::int64_t>(kNearBest * static_cast<double>(worth(*best)));
  for (const std::size_t limit : {2, 4}) {
    if (limit >= arenas) break;
    if (const std::optional<Gain> gain = gain_of(limit); gain && worth(*gain) >= least) best = gain;
  }
  return best;
}

std::optional<Finding> look(const Analysis& analysis) {
  const HeapMomentState* worst = nullptr;
  for (const HeapMomentState& moment : analysis.heap.moments) {
    if (worst == nullptr || free_in_threads(moment) > free_in_threads(*worst)) worst = &moment;
  }
  if (worst == nullptr || worst->accounting.arenas.size() < 2) return std::nullopt;
  const std::uint64_t held = free_in_threads(*worst);
  if (held < kWorthBytes || static_cast<double>(held) < kLeastShare * static_cast<double>(analysis.rss_peak_bytes)) return std::nullopt;
  const std::size_t arenas = worst->accounting.arenas.size();
  std::uint64_t live = 0;
  for (std::size_t id = 1; id < arenas; ++id) live += worst->accounting.arenas[id][Part::live].resident;

  Finding finding;
  finding.bytes = held;
  finding.title = fmt::format("{} thread arenas hold {} of free resident memory, for {} of live blocks", arenas - 1, format_bytes(held), format_bytes(live));
  finding.lines.push_back(fmt::format("at the {}: each arena keeps what its threads once needed; malloc makes up to 8 for each processor the machine has", worst->when));
  finding.predicted = best_limit(analysis, arenas);
  if (finding.predicted) {
    finding.lines.push_back(gain_text(*finding.predicted) + "; threads wait for each other's arenas more, which is not priced");
    finding.next = finding.predicted->env;
  } else {
    finding.lines.push_back("fewer arenas would not bring a tenth of the peak: what is free is needed again, or shares pages with live blocks");
    finding.next = fmt::format("faultline advise {}", analysis.file);
  }
  return finding;
}

FL_REGISTER_FINDING(arena_bloat, look);

}  // namespace
}  // namespace faultline::analyze
