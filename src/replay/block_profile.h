// BlockProfile: which bytes of one block were touched, as far as the recorder compared its contents and faults tell.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "replay/block_contents.h"
#include "replay/program.h"

namespace faultline::replay {

struct BlockProfile {
  std::uint32_t birth = 0;  // event
  std::uint64_t size = 0;
  std::uint64_t kept = 0;           // up to here it was realloc's copy: nothing is known
  std::uint64_t last_line = 0;      // bytes of the block in the last line that was compared
  std::uint64_t spare = 0;          // so much at the end is never used in blocks of its site
  // Offsets, ascending; a run of touched pages need not be one extent.
  std::vector<Extent> written{};
  std::vector<Extent> read{};       // before it was written, or only
  std::vector<Extent> changed{};    // written, where a block of the same site had been: what else was written there may look the same
  std::vector<Extent> same{};       // where a block of the same site had been, and as that one left it: written again just the same, or not written
  std::vector<Extent> untouched{};  // for sure
  std::vector<Extent> zeroes{};     // held zeroes, and does
  std::vector<Extent> unknown{};

  // The same use of a block of another size: what was used to the end is.
  std::vector<Extent> parts_of(const std::vector<Extent>& extents, const Extent& within, std::uint64_t block_size) const {
    std::vector<Extent> parts;
    for (const Extent& extent : extents) {
      const bool to_the_end = extent.end + BlockContents::kLine >= size;
      const std::uint64_t begin = std::max(extent.begin, within.begin), end = std::min(to_the_end ? block_size - spare : extent.end, within.end);
      if (begin < end) parts.push_back({begin, end});
    }
    return parts;
  }
};

}  // namespace faultline::replay
