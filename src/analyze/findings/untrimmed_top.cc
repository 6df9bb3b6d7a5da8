// Free memory above the highest live block, more than the trim threshold and top_pad explain: free() trims only when the
// chunk it frees, merged with its neighbours, reaches 64 KiB and the top; chunks parked in the tcache or fastbins count
// as in use and lie in between.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look(const Analysis& analysis) {
  const Retention& retention = analysis.retention;
  const ThresholdState& state = retention.thresholds;
  const std::uint64_t kept = std::max(state.trim_threshold, state.top_pad);
  if (!analysis.glibc_heap() || retention.top_bytes <= kept) return std::nullopt;
  const std::uint64_t excess = retention.top_bytes - kept;
  if (excess < kWorthBytes || excess < retention.end.heap_bytes / 4) return std::nullopt;

  std::optional<std::uint64_t> resident;
  if (const HeapMomentState* const heap = analysis.heap_at_end()) resident = heap->accounting.arenas.front()[heap::Part::top_trimmable].resident;
  if (resident && *resident < kWorthBytes) return std::nullopt;

  Finding finding;
  finding.bytes = resident.value_or(excess);
  if (resident) finding.predicted = Gain{.rss_end_bytes = static_cast<std::int64_t>(*resident)};
  finding.title = fmt::format("{} lie free above the highest live block and were not given back", format_bytes(retention.top_bytes));
  finding.lines.push_back(fmt::format("the trim threshold ({}) explains at most {} of it; chunks cached by malloc (tcache, fastbins) keep the rest from being trimmed",
                                      format_bytes(state.trim_threshold), format_bytes(kept)));
  finding.lines.push_back("malloc_trim(0) after the large phase returns whole free pages");
  finding.next = fmt::format("faultline advise {}", analysis.file);
  return finding;
}

FL_REGISTER_FINDING(untrimmed_top, look);

}  // namespace
}  // namespace faultline::analyze
