// Free memory lies below a live block near the top of the heap: the break cannot come down past it.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

// From the twin's replay: every arena, and what really falls.
std::optional<Finding> look_at_heap(const Analysis& analysis, const HeapMomentState& heap) {
  const auto end = std::find_if(heap.ends.begin(), heap.ends.end(), [&](const SiteEndPin& candidate) {
    return !candidate.sites.empty() && candidate.pin.held.resident >= kWorthBytes && candidate.pin.held.resident >= heap.accounting.total.sum().resident / 4;
  });
  if (end == heap.ends.end()) return std::nullopt;
  const heap::EndPin& pin = end->pin;
  const bool alone = end == heap.ends.begin() || std::prev(end)->pin.arena != pin.arena;

  Finding finding;
  finding.bytes = pin.held.resident;
  finding.title = fmt::format("{} of resident memory are free below {} live block{} of together {} and cannot leave through the {}", format_bytes(pin.held.resident),
                              format_count(pin.all.blocks), pin.all.blocks == 1 ? "" : "s", format_bytes(pin.all.bytes),
                              pin.arena == heap::kMainArena ? "program break" : "end of a thread's heap");
  for (std::size_t i = 0; i < end->sites.size() && i < 3; ++i) {
    const SiteShare& share = end->sites[i];
    finding.lines.push_back(fmt::format("{} of {} were allocated by {} ({})", format_count(share.blocks), format_bytes(share.bytes), share.name.function, share.name.location()));
  }
  finding.lines.push_back(fmt::format("free {}, or allocate them before the large phase, and the heap ends {} lower", alone ? "them" : "them and those above",
                                      format_bytes(pin.fall_bytes)));
  finding.lines.push_back(fmt::format("malloc_trim(0) could return {} of whole free pages without moving the break", format_bytes(heap.accounting.total.trim_pages.bytes)));
  finding.next = fmt::format("faultline advise {}", analysis.file);
  finding.predicted = Gain{.rss_end_bytes = static_cast<std::int64_t>(pin.held.resident)};
  return finding;
}

std::optional<Finding> look(const Analysis& analysis) {
  if (const HeapMomentState* const heap = analysis.heap_at_end()) return look_at_heap(analysis, *heap);
  const Retention& retention = analysis.retention;
  const auto pin = std::find_if(analysis.pins.begin(), analysis.pins.end(), [&](const NamedPin& candidate) {
    return candidate.pin.free_below_bytes >= kWorthBytes && candidate.pin.free_below_bytes >= retention.end.heap_bytes / 4;
  });
  if (pin == analysis.pins.end()) return std::nullopt;
  const auto above = static_cast<std::size_t>(pin - analysis.pins.begin());

  Finding finding;
  finding.bytes = pin->pin.free_below_bytes;
  finding.title = fmt::format("{} are free below a live block of {} and cannot leave through the program break",
                              format_bytes(pin->pin.free_below_bytes), format_bytes(pin->pin.block.bytes));
  finding.lines.push_back(fmt::format("the block at {:#x} was allocated by {} ({}){}", pin->pin.block.address, pin->name.function, pin->name.location(),
                                      above == 0 ? "; it is what keeps the break from moving" : "; blocks above it keep the break up too"));
  finding.lines.push_back(fmt::format("free it, or allocate it before the large phase, and the heap ends {} lower", format_bytes(pin->pin.break_drop_bytes)));
  finding.lines.push_back(fmt::format("malloc_trim(0) could return up to {} of whole free pages without moving the break", format_bytes(retention.trimmable_bytes)));
  finding.next = fmt::format("faultline advise {}", analysis.file);
  return finding;
}

FL_REGISTER_FINDING(pinned_top, look);

}  // namespace
}  // namespace faultline::analyze
