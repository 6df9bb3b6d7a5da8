// What the main heap keeps at the end and why it cannot go back to the system: only memory above the highest live
// block can leave through brk, only whole free pages through malloc_trim.
#pragma once

#include <cstdint>
#include <vector>

#include "analyze/attribution.h"

namespace faultline::analyze {

struct Pin {  // one of the highest live blocks
  Block block;
  std::uint64_t free_below_bytes = 0;  // between the next lower live block and this one
  std::uint64_t break_drop_bytes = 0;  // how far the break could fall if this block and all above it were gone
};

struct Holder {  // live blocks of one site that share pages with free memory
  trace::StackId site = 0;
  std::uint64_t held_bytes = 0;  // free bytes of those pages, shared equally between the blocks of a page
  std::uint64_t blocks = 0, block_bytes = 0;
};

struct Retention {
  HeapMoment end, peak, most_free;
  std::uint64_t top_bytes = 0;         // above the highest live block: what trimming left (threshold and top_pad)
  std::uint64_t free_below_bytes = 0;  // below it, between live blocks
  std::uint64_t trimmable_bytes = 0;   // of free_below: whole free pages, malloc_trim(0) can return them
  std::uint64_t pinned_bytes = 0;      // of free_below: in pages that live blocks share
  std::uint64_t mmapped_bytes = 0;     // live blocks with their own mapping
  std::vector<Pin> pins;               // highest first
  std::vector<Holder> holders;         // most held bytes first
  ThresholdState thresholds;
};

Retention retention_of(const Attribution& attribution);

}  // namespace faultline::analyze
