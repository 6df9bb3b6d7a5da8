// SwapReadAhead: how many neighbours are read with a page that comes back from swap. Two kinds: around the slot on the device
// (rotating disks), around the address in the mapping (everything else). Counterpart: mm/swap_state.c, Linux 6.18.
#pragma once

#include <algorithm>
#include <cstdint>

namespace faultline::mm {

// A window of slots or of pages: [first, end).
struct ReadWindow {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint64_t pages() const { return end - first; }
};

// __swapin_nr_pages(): hits of the last window's pages make the next one larger; without any, only a neighbour of the last
// fault is worth two pages.
constexpr std::uint32_t swap_window_pages(std::uint64_t previous, std::uint64_t now, std::uint32_t hits, std::uint32_t max_pages,
                                          std::uint32_t last_window) {
  std::uint32_t pages = hits + 2;
  if (pages == 2) {
    if (now != previous + 1 && now + 1 != previous) pages = 1;
  } else {
    std::uint32_t rounded = 4;
    while (rounded < pages) rounded <<= 1;
    pages = rounded;
  }
  pages = std::min(pages, max_pages);
  return std::max(pages, std::min(last_window / 2, max_pages));  // not smaller too fast
}

// swapin_nr_pages(), swap_cluster_readahead(): one state for the machine; an aligned block of slots.
class ClusterReadAhead {
 public:
  // hits: pages read ahead that were found useful before the machine is looked at; 4 after boot.
  explicit ClusterReadAhead(std::uint32_t hits = 4) : hits_(hits) {}
  ReadWindow window(std::uint64_t slot, std::uint32_t max_pages, std::uint64_t area_end) {
    if (max_pages <= 1) return {slot, slot + 1};
    const std::uint32_t hits = hits_;
    hits_ = 0;
    const std::uint32_t pages = swap_window_pages(previous_, slot, hits, max_pages, last_window_);
    if (hits == 0) previous_ = slot;
    last_window_ = pages;
    const std::uint64_t mask = pages - 1;
    if (mask == 0) return {slot, slot + 1};
    return {std::max<std::uint64_t>(slot & ~mask, 1), std::min((slot | mask) + 1, area_end)};
  }
  void hit() { ++hits_; }

 private:
  std::uint64_t previous_ = 0;
  std::uint32_t hits_;
  std::uint32_t last_window_ = 0;
};

// swap_vma_ra_win(): each mapping has its own state, one word (vma->swap_readahead_info).
class VmaReadAhead {
 public:
  // vpn: the page that faulted; the window stays within the mapping and within one page table.
  ReadWindow window(std::uint64_t vpn, std::uint32_t max_pages, std::uint64_t vma_first, std::uint64_t vma_end) {
    if (max_pages <= 1) return {vpn, vpn + 1};
    const std::uint64_t previous = previous_;
    const std::uint32_t pages = swap_window_pages(previous, vpn, hits_, max_pages, window_);
    previous_ = vpn;
    window_ = static_cast<std::uint16_t>(pages);
    hits_ = 0;
    if (pages == 1) return {vpn, vpn + 1};
    std::uint64_t first = vpn - std::min<std::uint64_t>(vpn, (pages - 1) / 2);
    if (vpn == previous + 1) first = vpn;
    if (previous == vpn + 1) first = vpn + 1 - std::min<std::uint64_t>(vpn + 1, pages);
    const std::uint64_t end = first + pages;
    const std::uint64_t table = vpn / 512 * 512;
    return {std::max({first, vma_first, table}), std::min({end, vma_end, table + 512})};
  }
  // A page of the mapping was found in the swap cache.
  void found(std::uint64_t vpn, bool was_read_ahead) {
    previous_ = vpn;
    if (was_read_ahead) hits_ = static_cast<std::uint16_t>(std::min<std::uint32_t>(hits_ + 1u, 63));  // SWAP_RA_HITS_MAX
  }
  bool operator==(const VmaReadAhead&) const = default;

 private:
  std::uint64_t previous_ = 0;
  std::uint16_t hits_ = 4;
  std::uint16_t window_ = 0;
};

}  // namespace faultline::mm
