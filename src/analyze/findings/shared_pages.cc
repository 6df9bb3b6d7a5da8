// Free memory in pages that live blocks share: neither trimming nor any setting returns it, only the sites can.
#include <fmt/format.h>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look_at_heap(const HeapMomentState& heap) {
  const heap::ArenaAccount& total = heap.accounting.total;
  const std::uint64_t pinned = total[heap::Part::pinned].resident, resident = total.sum().resident;
  if (pinned < kWorthBytes || pinned < resident / 4) return std::nullopt;

  Finding finding;
  finding.bytes = pinned;
  finding.title = fmt::format("{} of {} resident heap are free but share pages with live blocks: no setting returns them", format_bytes(pinned), format_bytes(resident));
  for (const SitePagePin& page : heap.pages) {
    if (page.pin.blocks.owner == heap::kNoOwner || !page.pin.weighed || finding.lines.size() == 3) continue;
    finding.lines.push_back(fmt::format("{} ({}): {} blocks of {} together hold {}; without them {} more could go back", page.name.function, page.name.location(),
                                        format_count(page.pin.blocks.blocks), format_bytes(page.pin.blocks.bytes), format_bytes(page.pin.held.resident),
                                        format_bytes(page.pin.gain_bytes)));
  }
  finding.next = "allocate the long-lived blocks of these sites together (before the short-lived ones, or from a pool)";
  finding.predicted = Gain{.rss_end_bytes = static_cast<std::int64_t>(pinned)};
  return finding;
}

std::optional<Finding> look(const Analysis& analysis) {
  if (const HeapMomentState* const heap = analysis.heap_at_end()) return look_at_heap(*heap);
  const Retention& retention = analysis.retention;
  if (retention.pinned_bytes < kWorthBytes || retention.pinned_bytes < retention.end.heap_bytes / 4) return std::nullopt;

  Finding finding;
  finding.bytes = retention.pinned_bytes;
  finding.title = fmt::format("{} of {} heap are free but share pages with live blocks: no setting returns them",
                              format_bytes(retention.pinned_bytes), format_bytes(retention.end.heap_bytes));
  for (std::size_t i = 0; i < analysis.holders.size() && i < 3; ++i) {
    const NamedHolder& holder = analysis.holders[i];
    finding.lines.push_back(fmt::format("{} ({}): {} blocks of {} together hold {}", holder.name.function, holder.name.location(),
                                        format_count(holder.blocks), format_bytes(holder.block_bytes), format_bytes(holder.held_bytes)));
  }
  finding.next = "allocate the long-lived blocks of these sites together (before the short-lived ones, or from a pool)";
  return finding;
}

FL_REGISTER_FINDING(shared_pages, look);

}  // namespace
}  // namespace faultline::analyze
