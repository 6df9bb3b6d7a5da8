// Pte: an x86-64 page-table entry of 4 KiB pages, bit for bit (Intel SDM vol. 3, 4-level paging; bits 52-58 are free
// for software). The same layout serves all four levels.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "mm/phys/frame_observer.h"

namespace faultline::mm {

struct Pte {
  std::uint64_t bits = 0;

  static constexpr std::uint64_t kPresent = 1u << 0;
  static constexpr std::uint64_t kWritable = 1u << 1;
  static constexpr std::uint64_t kUser = 1u << 2;
  static constexpr std::uint64_t kAccessed = 1u << 5;
  static constexpr std::uint64_t kDirty = 1u << 6;
  static constexpr std::uint64_t kProtNone = 1u << 8;  // not present, yet it holds a frame: the mapping is PROT_NONE
  static constexpr std::uint64_t kZeroPage = std::uint64_t{1} << 52;  // software: pte_special, the shared zero page
  static constexpr std::uint64_t kGuard = std::uint64_t{1} << 53;  // software: PTE_MARKER_GUARD, alone: no frame, any access is SIGSEGV
  static constexpr std::uint64_t kHuge = std::uint64_t{1} << 54;  // software: one of 512 that Linux maps by one entry a level up
  static constexpr std::uint64_t kSwap = std::uint64_t{1} << 55;  // software: not present, and instead of the frame a swap slot
  static constexpr std::uint64_t kSwapExclusive = std::uint64_t{1} << 56;  // with kSwap: nobody else had the page (pte_swp_exclusive())
  static constexpr std::uint64_t kNoExecute = std::uint64_t{1} << 63;
  static constexpr std::uint64_t kFrameMask = 0x000f'ffff'ffff'f000;

  static constexpr Pte make(Pfn pfn, std::uint64_t flags) { return Pte{(pfn.value << kPageShift) | flags}; }
  static constexpr Pte make_swap(SwapSlot slot, bool exclusive) {
    return Pte{(slot.value << kPageShift) | kSwap | (exclusive ? kSwapExclusive : 0)};
  }
  constexpr bool none() const { return bits == 0; }
  constexpr bool present() const { return (bits & kPresent) != 0; }
  constexpr bool writable() const { return (bits & kWritable) != 0; }
  constexpr bool dirty() const { return (bits & kDirty) != 0; }
  constexpr bool accessed() const { return (bits & kAccessed) != 0; }
  constexpr bool no_execute() const { return (bits & kNoExecute) != 0; }
  constexpr bool protection_none() const { return !present() && (bits & kProtNone) != 0; }
  constexpr bool zero_page() const { return (bits & kZeroPage) != 0; }
  constexpr bool huge() const { return (bits & kHuge) != 0; }
  constexpr bool guard() const { return (bits & kGuard) != 0; }
  constexpr bool swap() const { return (bits & kSwap) != 0; }
  constexpr bool swap_exclusive() const { return (bits & kSwapExclusive) != 0; }
  constexpr SwapSlot swap_slot() const { return SwapSlot((bits & kFrameMask) >> kPageShift); }
  constexpr bool maps_frame() const { return bits != 0 && (bits & (kZeroPage | kGuard | kSwap)) == 0; }  // counted as resident
  constexpr Pfn pfn() const { return Pfn((bits & kFrameMask) >> kPageShift); }
};
static_assert(sizeof(Pte) == 8);

}  // namespace faultline::mm
