// Free memory lies below a live block near the top of the heap: the break cannot come down past it.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/analysis.h"
#include "analyze/format.h"

namespace faultline::analyze {
namespace {

std::optional<Finding> look(const Analysis& analysis) {
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
