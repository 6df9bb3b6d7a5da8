// FrameObserver, ReverseMap: how page replacement hears of frames, and reaches the entries that map them. phys declares both;
// reclaim/ implements the first, space/ the second, machine/ plugs them together. Counterpart: mem_cgroup_charge(),
// folio_add_lru() and __folio_put(); mm/rmap.c.
#pragma once

#include <cstdint>

#include "base/units.h"

namespace faultline::mm {

enum class FrameUse : std::uint8_t { free, zero_page, anonymous, file, page_table, shmem };
inline constexpr std::size_t kFrameUses = 6;

struct SwapSlot : StrongInt<struct SwapSlotTag> {  // page of the swap area; 0 is its header and never handed out
  using StrongInt::StrongInt;
};

class FrameObserver {
 public:
  virtual ~FrameObserver() = default;
  // Frames are wanted: makes room for them under the limit. False: there is none, whatever is done; out of memory. Of a folio of
  // several pages: not much was tried, smaller ones will do.
  virtual bool charge(std::uint64_t pages) = 0;
  // It was taken, and says whose page it is. Of a file's folio only the first frame is told, when the folio is in the page cache.
  virtual void on_taken(Pfn pfn) = 0;
  // The folio that begins there is about to be split: it is none any more; what it becomes is told again.
  virtual void on_split(Pfn pfn) = 0;
  // Its last reference is gone; called while it still says what it was.
  virtual void on_freed(Pfn pfn) = 0;
  // A page that had no frame (Frame::page of its last one) will not come back: its swap slot was given up, its file is gone.
  virtual void on_forgotten(std::uint32_t page) = 0;
  // read(2) touched a file's page, or a process unmaps one it had accessed (folio_mark_accessed()).
  virtual void on_marked_accessed(Pfn pfn) = 0;
  // Pages were taken for a read: those that wait to be put on a list are put there (lru_add_drain()).
  virtual void on_read_begun() = 0;
  // A page that has no frame (Frame::page) will come back: what is kept of it is pulled into the processor's cache.
  virtual void prefetch_returning(std::uint32_t page) const = 0;
  // It was in use before, and went or nearly went (folio_test_workingset()).
  virtual bool in_working_set(Pfn pfn) const = 0;
};

class ReverseMap {
 public:
  virtual ~ReverseMap() = default;
  virtual unsigned test_and_clear_accessed(Pfn pfn) = 0;  // entries that had the bit; folio_referenced()
  virtual bool dirty(Pfn pfn) const = 0;                  // an entry has the bit
  virtual bool locked(Pfn pfn) const = 0;                 // a mapping of it is mlocked
  virtual bool executable(Pfn pfn) const = 0;             // a mapping of it may execute
  // try_to_unmap(): every entry becomes a swap entry of that slot. Returns how many there were.
  virtual std::uint32_t swap_out(Pfn pfn, SwapSlot slot) = 0;
  virtual void forget(Pfn pfn) = 0;  // the same for a file's page: the entries go
  virtual void prefetch(Pfn pfn) const = 0;  // its entry will be looked at; changes nothing
  virtual void split_huge(Pfn pfn) = 0;  // where a huge page maps it, 512 entries do afterwards
};

}  // namespace faultline::mm
