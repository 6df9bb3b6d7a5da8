#include "mm/backing/swap_space.h"

#include "base/assert.h"

namespace faultline::mm {

// swap_cache_get_folio(), swap_update_readahead().
std::optional<Pfn> SwapSpace::find(SwapSlot slot, std::uint64_t vpn, VmaReadAhead& state) {
  const std::optional<Pfn> pfn = area_.cached(slot);
  if (!pfn) return pfn;
  Frame& frame = frames_.at(*pfn);
  const bool was_read_ahead = frame.read_ahead;
  frame.read_ahead = false;
  if (was_read_ahead) ++read_ahead_hits_;
  if (!reads_around_slots()) {
    state.found(vpn, was_read_ahead);
  } else if (was_read_ahead) {
    cluster_.hit();
  }
  return pfn;
}

// __read_swap_cache_async(): true when it allocated a frame and a read is due.
bool SwapSpace::read_one(SwapSlot slot, bool asked_for) {
  if (area_.entries(slot) == 0 || area_.cached(slot)) return false;
  const std::optional<Pfn> pfn = frames_.allocate_swapped(slot, area_.page(slot));
  if (!pfn) return false;
  if (area_.entries(slot) == 0 || area_.cached(slot)) {  // making room changed the slot
    frames_.at(*pfn).swap_cache = false;
    frames_.release(*pfn);
    return false;
  }
  area_.enter_cache(slot, *pfn);
  frames_.at(*pfn).read_ahead = !asked_for;
  frames_.at(*pfn).reading = true;
  reading_.push_back(*pfn);
  writes_.add_read(slot);
  if (!asked_for) ++read_ahead_pages_;
  return true;
}

// The page itself, if it was not among those read around it; then the device.
std::optional<Pfn> SwapSpace::finish_read(SwapSlot slot) {
  if (frames_.observer() != nullptr) frames_.observer()->on_read_begun();
  if (!area_.cached(slot)) (void)read_one(slot, true);
  const std::optional<Pfn> pfn = area_.cached(slot);
  if (pfn) frames_.acquire(*pfn);
  if (!reading_.empty()) device_.read_and_wait(clock_, reading_.size());
  for (const Pfn one : reading_) frames_.at(one).reading = false;
  reading_.clear();
  return pfn;
}

std::optional<Pfn> SwapSpace::read_around_slot(SwapSlot slot) {
  const ReadWindow window = cluster_.window(slot.value, max_window(), area_.end());
  if (window.pages() > 1) {
    writes_.plug();
    for (std::uint64_t at = window.first; at < window.end; ++at) (void)read_one(SwapSlot(at), at == slot.value);
    writes_.unplug();
  }
  return finish_read(slot);
}

std::optional<Pfn> SwapSpace::read(SwapSlot slot, std::span<const SwapSlot> neighbours) {
  if (neighbours.size() > 1) {
    writes_.plug();
    for (const SwapSlot one : neighbours) (void)read_one(one, one == slot);
    writes_.unplug();
  }
  return finish_read(slot);
}

void SwapSpace::drop_entry(SwapSlot slot) {
  const std::uint32_t page = area_.page(slot);
  area_.drop_entry(slot);
  if (area_.entries(slot) != 0) return;
  if (const std::optional<Pfn> pfn = area_.cached(slot)) {
    drop_if_unused(*pfn);
  } else if (frames_.observer() != nullptr) {
    frames_.observer()->on_forgotten(page);
  }
}

void SwapSpace::leave_cache(Pfn pfn) {
  Frame& frame = frames_.at(pfn);
  const SwapSlot slot(frame.index);
  FL_ASSERT(frame.swap_cache && area_.entries(slot) == 0);
  frame.swap_cache = false;
  frame.modified = true;
  frame.index = 0;
  area_.leave_cache(slot);
  frames_.release(pfn);
}

void SwapSpace::drop_if_unused(Pfn pfn) {
  const Frame& frame = frames_.at(pfn);
  if (frame.swap_cache && frame.users == 0 && area_.entries(SwapSlot(frame.index)) == 0) leave_cache(pfn);
}

}  // namespace faultline::mm
