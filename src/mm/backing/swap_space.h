// SwapSpace: where anonymous pages go when frames run out, and how they come back: slots, read-ahead, device and the time it
// takes. Counterpart: do_swap_page()'s use of mm/swap_state.c and mm/page_io.c.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "mm/backing/block_device.h"
#include "mm/backing/swap_area.h"
#include "mm/backing/swap_read_ahead.h"
#include "mm/backing/swap_writes.h"
#include "mm/phys/frame_table.h"
#include "mm/virtual_clock.h"

namespace faultline::mm {

struct SwapConfig {
  std::uint64_t pages = 0;           // of the device, header included; 0: no swap
  DeviceModel device;
  std::uint32_t page_cluster = 3;    // sysctl vm.page-cluster
  // Around slots: what the machine's only read-ahead remembers of whatever swapped before. 4 as after boot or behind who swaps in order;
  // 0 behind who swaps at random, and then it may take long until two neighbours are wanted in turn and it begins again.
  std::uint32_t read_ahead_hits = 4;
};

class SwapSpace {
 public:
  SwapSpace(FrameTable& frames, const SwapConfig& config, VirtualClock& clock)
      : frames_(frames), config_(config), clock_(clock), area_(config.pages), device_(config.device), writes_(device_, clock), cluster_(config.read_ahead_hits) {}

  SwapArea& area() { return area_; }
  const SwapArea& area() const { return area_; }
  BlockDevice& device() { return device_; }
  const BlockDevice& device() const { return device_; }
  SwapWrites& writes() { return writes_; }
  bool reads_around_slots() const { return config_.device.rotating; }  // swap_use_vma_readahead() is false
  std::uint32_t max_window() const { return 1u << config_.page_cluster; }
  std::uint64_t read_ahead_pages() const { return read_ahead_pages_; }  // swap_ra
  std::uint64_t read_ahead_hits() const { return read_ahead_hits_; }    // swap_ra_hit

  // The page of the slot if it is in the swap cache: a minor fault. Says so to the read-ahead.
  std::optional<Pfn> find(SwapSlot slot, std::uint64_t vpn, VmaReadAhead& state);
  // The page is read: a major fault. The caller holds a reference on the frame that it must release. Nothing: no memory.
  std::optional<Pfn> read_around_slot(SwapSlot slot);
  std::optional<Pfn> read(SwapSlot slot, std::span<const SwapSlot> neighbours);
  // An entry refers to the slot no more.
  void drop_entry(SwapSlot slot);
  // The frame's contents are its own from now on: the slot is given back. folio_free_swap(); no entry may refer to it.
  void leave_cache(Pfn pfn);
  // After an entry of the frame went: a page nobody maps and no entry refers to is not kept. free_swap_cache().
  void drop_if_unused(Pfn pfn);

 private:
  bool read_one(SwapSlot slot, bool asked_for);
  std::optional<Pfn> finish_read(SwapSlot slot);

  FrameTable& frames_;
  SwapConfig config_;
  VirtualClock& clock_;
  SwapArea area_;
  BlockDevice device_;
  SwapWrites writes_;
  ClusterReadAhead cluster_;
  std::vector<Pfn> reading_;  // locked until the device is done
  std::uint64_t read_ahead_pages_ = 0;
  std::uint64_t read_ahead_hits_ = 0;
};

}  // namespace faultline::mm
