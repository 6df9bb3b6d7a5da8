// SwapArea: the slots of a swap device: which are in use, by how many entries, and which page is in the swap cache under them.
// Counterpart: struct swap_info_struct, its swap_map and clusters (mm/swapfile.c), the swap cache (mm/swap_state.c), Linux 6.18.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/units.h"
#include "mm/phys/frame_observer.h"
#include "mm/phys/frame_table.h"

namespace faultline::mm {

class SwapArea {
 public:
  static constexpr std::uint64_t kClusterSlots = 512;  // SWAPFILE_CLUSTER with huge pages

  explicit SwapArea(std::uint64_t pages);

  // A slot for a page that goes out; it is in the swap cache from now on. Nothing when the area is full. Neighbours go to
  // neighbours: read-ahead lives on that.
  std::optional<SwapSlot> allocate(Pfn pfn, std::uint32_t page);
  void add_entries(SwapSlot slot, std::uint32_t entries);  // page-table entries refer to it: swap_duplicate()
  void drop_entry(SwapSlot slot);                          // one does no more: swap_free()
  void enter_cache(SwapSlot slot, Pfn pfn);                // it was read in
  void leave_cache(SwapSlot slot);

  std::uint32_t entries(SwapSlot slot) const { return slots_[slot.value].entries; }
  std::optional<Pfn> cached(SwapSlot slot) const {
    const Slot& one = slots_[slot.value];
    return one.frame == 0 ? std::nullopt : std::optional(Pfn(one.frame));
  }
  std::uint32_t page(SwapSlot slot) const { return slots_[slot.value].page; }  // Frame::page of what it holds
  void prefetch(SwapSlot slot) const { __builtin_prefetch(&slots_[slot.value], 1); }  // it will be asked for
  std::uint64_t end() const { return slots_.size(); }       // si->max: slots are below it
  std::uint64_t used() const { return used_; }              // slots
  std::uint64_t capacity() const { return slots_.size() - 1; }
  bool nearly_full() const { return used_ * 2 > capacity(); }  // vm_swap_full()
  void check_invariants() const;

 private:
  struct Slot {
    std::uint32_t entries = 0;
    std::uint32_t frame = 0;  // in the swap cache; 0 is the zero page's and means none
    std::uint32_t page = 0;
    bool used() const { return entries != 0 || frame != 0; }
  };
  enum class List : std::uint8_t { free, nonfull, full };
  struct Cluster {
    std::uint32_t used = 0;
    List list = List::free;
    bool current = false;
  };

  void release_if_unused(SwapSlot slot);
  std::optional<std::uint64_t> scan(std::uint64_t from, std::uint64_t end) const;
  std::optional<std::uint64_t> next_from(std::deque<std::uint32_t>& list, List kind);

  std::vector<Slot> slots_;
  std::vector<Cluster> clusters_;
  std::deque<std::uint32_t> free_;
  std::deque<std::uint32_t> nonfull_;  // entries may be stale: the cluster's own list says
  std::uint64_t next_ = 0;             // where the current cluster goes on; 0: none
  std::uint64_t used_ = 0;
};

}  // namespace faultline::mm
