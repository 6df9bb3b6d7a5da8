#include "mm/backing/swap_area.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::mm {

SwapArea::SwapArea(std::uint64_t pages) : slots_(pages), clusters_((pages + kClusterSlots - 1) / kClusterSlots) {
  FL_ASSERT(pages > 1);
  slots_[0].entries = 1;  // the header
  clusters_[0].used = 1;
  for (std::uint32_t i = 0; i < clusters_.size(); ++i) free_.push_back(i);
  // The first cluster is not empty, so the kernel does not call it free either; it is the first of those with room.
  free_.pop_front();
  clusters_[0].list = List::nonfull;
  nonfull_.push_back(0);
}

std::optional<std::uint64_t> SwapArea::scan(std::uint64_t from, std::uint64_t end) const {
  for (std::uint64_t at = from; at < std::min<std::uint64_t>(end, slots_.size()); ++at) {
    if (!slots_[at].used()) return at;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> SwapArea::next_from(std::deque<std::uint32_t>& list, List kind) {
  while (!list.empty()) {
    const std::uint32_t number = list.front();
    list.pop_front();
    if (clusters_[number].list != kind || clusters_[number].current) continue;
    const std::uint64_t first = number * kClusterSlots;
    if (const auto found = scan(first, first + kClusterSlots)) return found;
  }
  return std::nullopt;
}

// cluster_alloc_swap_entry(): on in the current cluster, then those with room, then empty ones.
std::optional<SwapSlot> SwapArea::allocate(Pfn pfn, std::uint32_t page) {
  std::optional<std::uint64_t> found;
  if (next_ != 0) {
    const std::uint64_t number = next_ / kClusterSlots;
    found = scan(next_, (number + 1) * kClusterSlots);
    if (!found) {
      clusters_[number].current = false;
      if (clusters_[number].used < kClusterSlots && clusters_[number].list == List::nonfull) nonfull_.push_back(static_cast<std::uint32_t>(number));
    }
  }
  if (!found) found = next_from(nonfull_, List::nonfull);
  if (!found) found = next_from(free_, List::free);
  if (!found) found = scan(1, slots_.size());
  if (!found) {
    next_ = 0;
    return std::nullopt;
  }
  const std::uint64_t number = *found / kClusterSlots;
  Cluster& cluster = clusters_[number];
  cluster.current = true;
  ++cluster.used;
  cluster.list = cluster.used == kClusterSlots ? List::full : List::nonfull;
  next_ = (*found + 1) % kClusterSlots == 0 ? 0 : *found + 1;
  if (next_ == 0) cluster.current = false;
  slots_[*found] = Slot{0, static_cast<std::uint32_t>(pfn.value), page};
  ++used_;
  return SwapSlot(*found);
}

void SwapArea::add_entries(SwapSlot slot, std::uint32_t entries) {
  FL_ASSERT(slots_[slot.value].used());
  slots_[slot.value].entries += entries;
}

void SwapArea::drop_entry(SwapSlot slot) {
  FL_ASSERT(slots_[slot.value].entries > 0);
  --slots_[slot.value].entries;
  release_if_unused(slot);
}

void SwapArea::enter_cache(SwapSlot slot, Pfn pfn) {
  FL_ASSERT(slots_[slot.value].entries > 0 && slots_[slot.value].frame == 0);
  slots_[slot.value].frame = static_cast<std::uint32_t>(pfn.value);
}

void SwapArea::leave_cache(SwapSlot slot) {
  FL_ASSERT(slots_[slot.value].frame != 0);
  slots_[slot.value].frame = 0;
  release_if_unused(slot);
}

// swap_entries_free(): a cluster with room waits for its turn, an empty one is as good as new.
void SwapArea::release_if_unused(SwapSlot slot) {
  if (slots_[slot.value].used()) return;
  --used_;
  const std::uint64_t number = slot.value / kClusterSlots;
  Cluster& cluster = clusters_[number];
  --cluster.used;
  const auto add = [&](std::deque<std::uint32_t>& list, List kind) {
    if (cluster.list == kind && kind != List::free) return;
    cluster.list = kind;
    if (!cluster.current) list.push_back(static_cast<std::uint32_t>(number));
  };
  if (cluster.used == 0 && !cluster.current) {
    add(free_, List::free);
  } else {
    add(nonfull_, List::nonfull);
  }
}

void SwapArea::check_invariants() const {
  std::uint64_t used = 0;
  for (std::uint64_t at = 1; at < slots_.size(); ++at) used += slots_[at].used() ? 1 : 0;
  FL_ASSERT(used == used_);
  std::vector<std::uint32_t> by_cluster(clusters_.size());
  for (std::uint64_t at = 0; at < slots_.size(); ++at) by_cluster[at / kClusterSlots] += slots_[at].used() ? 1 : 0;
  for (std::size_t i = 0; i < clusters_.size(); ++i) FL_ASSERT(by_cluster[i] == clusters_[i].used);
}

}  // namespace faultline::mm
