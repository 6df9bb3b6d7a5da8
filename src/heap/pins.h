// Pins: which live blocks keep free memory from going back to the kernel, by owner, most bytes held first.
//
// Two ways to hold. At the end: a live block above free memory keeps the break, or the end of a thread arena's heap, where it is.
// In a page: only whole free pages go back, so a live block keeps what is free beside it in its pages.
#pragma once

#include <vector>

#include "heap/accounting.h"

namespace faultline::heap {

struct Share {
  OwnerId owner = kNoOwner;
  std::uint64_t blocks = 0, bytes = 0;  // bytes asked for
};

struct EndPin {  // blocks in a row at the upper end of an arena's memory, and the free memory below them
  ArenaId arena = kMainArena;
  Address highest = 0;              // user address of the highest live one
  std::uint64_t highest_bytes = 0;  // that it was asked for with
  Share all;                        // without an owner
  std::vector<Share> owners;        // most bytes first, at most kOwners
  std::uint64_t cached_bytes = 0;   // freed blocks in caches among them: they are in the way too, alone if there is no live one
  Bytes held;                       // free directly below
  std::uint64_t fall_bytes = 0;     // how far the end comes down by free() alone, if these and those above are freed past the caches, lowest first
  static constexpr std::size_t kOwners = 8;
};

struct PagePin {  // all live blocks of one owner that share pages with free memory
  Share blocks;          // owner kNoOwner: pages that only cached blocks and malloc's own hold
  Bytes held;            // what is free in those pages, shared equally between a page's blocks
  bool weighed = false;          // the first kWeighed are
  std::uint64_t gain_bytes = 0;  // what more would go back by free() and malloc_trim(0) if all blocks of the owner were freed
  static constexpr std::size_t kWeighed = 16;
};

struct Pins {
  std::vector<EndPin> ends;    // arena by arena, from the highest down
  std::vector<PagePin> pages;  // most held first; they add up to Part::pinned
};

Pins pins_of(const HeapImage& image);

// What would go back to the kernel, more than malloc_trim(0) alone gives, if every block of this owner were freed past the caches.
// Mapped blocks do not count: they hold nothing but themselves.
std::uint64_t gain_of(const HeapImage& image, OwnerId owner);

}  // namespace faultline::heap
