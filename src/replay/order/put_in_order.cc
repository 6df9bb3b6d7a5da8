#include "replay/order/put_in_order.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::replay {

namespace {

// A touch comes right after the event it came after, but never before the block was there.
void move_timed_touches(Program& program, std::span<const std::uint32_t> place_of) {
  std::vector<std::uint32_t> born(program.slots);  // by slot: the place of the event that gave the block
  std::size_t next = 0;
  for (TimedTouch& touch : program.timed_touches) {
    for (; next <= touch.event && next < program.events.size(); ++next) {
      const Event& event = program.events[next];
      if (event.slot != kNoSlot && event.op != trace::HeapOp::free) born[event.slot] = place_of[next];
    }
    touch.event = std::max(place_of[touch.event], born[touch.slot]);
  }
  std::stable_sort(program.timed_touches.begin(), program.timed_touches.end(), [](const TimedTouch& x, const TimedTouch& y) { return x.event < y.event; });
  for (std::uint32_t& event : program.timed_blocks) event = place_of[event];
  std::sort(program.timed_blocks.begin(), program.timed_blocks.end());
}

}  // namespace

void put_in_order(Program& program, std::span<const std::uint32_t> order) {
  FL_ASSERT(order.size() == program.events.size());
  std::vector<Event> events(order.size());
  std::vector<std::uint32_t> place_of(order.size());
  for (std::uint32_t place = 0; place < order.size(); ++place) {
    events[place] = program.events[order[place]];
    place_of[order[place]] = place;
  }
  // Touch lists are taken one by one by the events that have one.
  std::vector<std::uint32_t> list_of(program.events.size());
  std::uint32_t list = 0;
  for (std::size_t event = 0; event < program.events.size(); ++event)
    if ((program.events[event].flags & kPartial) != 0) list_of[event] = list++;
  std::vector<std::uint32_t> offsets{0};
  std::vector<Extent> extents;
  extents.reserve(program.extents.size());
  for (const std::uint32_t event : order) {
    if ((program.events[event].flags & kPartial) == 0) continue;
    const auto first = program.extents.begin() + program.touch_offsets[list_of[event]];
    const auto last = program.extents.begin() + program.touch_offsets[list_of[event] + 1];
    extents.insert(extents.end(), first, last);
    offsets.push_back(static_cast<std::uint32_t>(extents.size()));
  }
  for (AllocatorCall& call : program.calls) call.event = place_of[call.event];
  std::stable_sort(program.calls.begin(), program.calls.end(), [](const AllocatorCall& x, const AllocatorCall& y) { return x.event < y.event; });
  move_timed_touches(program, place_of);
  program.events = std::move(events);
  program.touch_offsets = std::move(offsets);
  program.extents = std::move(extents);
}

}  // namespace faultline::replay
