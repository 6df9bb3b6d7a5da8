// BlockProfiles: which bytes of its blocks a call site touches, from the blocks whose contents the recorder compared. A block
// that was not compared is taken to be used as one of its site and size that was, born about the same time.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "replay/program.h"
#include "trace/event.h"

namespace faultline::replay {

struct BlockProfile {
  std::uint32_t birth = 0;  // event
  std::uint64_t size = 0;
  std::vector<Extent> written{};  // offsets, ascending; a run of touched pages need not be one extent
  std::vector<Extent> read{};     // before it was written, or only
  std::uint64_t kept = 0;         // up to here it was realloc's copy: nothing is known
  std::vector<Extent> zeroes{};   // held zeroes, and does
  std::vector<Extent> unknown{};

  // The same use of a block of another size: what was used to the end is.
  std::vector<Extent> parts_of(const std::vector<Extent>& extents, const Extent& within, std::uint64_t block_size) const;
};

class BlockProfiles {
 public:
  void add(trace::StackId stack, BlockProfile profile);
  void done();  // all were added

  // nullptr: no block of this site and size class was compared.
  const BlockProfile* of_site(trace::StackId stack, std::uint64_t size, std::uint32_t birth) const;
  // The same by exact size, of whatever site.
  const BlockProfile* of_size(std::uint64_t size, std::uint32_t birth) const;

  // How far off it is to judge one half of each site's compared blocks by the other, in pages of those predicted.
  double error() const;

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  std::vector<BlockProfile> profiles_;
  struct Alike {
    std::vector<std::uint32_t> whole, partly;  // all is known of them, or not; by birth
  };
  std::map<Key, Alike> by_site_;  // call site, size class
  std::map<std::uint64_t, Alike> by_size_;

  const BlockProfile* nearest(const Alike& alike, std::uint64_t size, std::uint32_t birth) const;
};

}  // namespace faultline::replay
