// BlockProfiles: which bytes of its blocks a call site touches, from the blocks whose contents the recorder compared. A block
// that was not compared is taken to be used as one of its site and size that was, born about the same time.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "replay/alike_blocks.h"
#include "replay/block_profile.h"
#include "trace/event.h"

namespace faultline::replay {

class BlockProfiles {
 public:
  void add(trace::StackId stack, BlockProfile profile);
  void done();  // all were added

  // nullptr: no block of this site and size class was compared.
  const BlockProfile* of_site(trace::StackId stack, std::uint64_t size, std::uint32_t birth) const;
  // The same by exact size, of whatever site.
  const BlockProfile* of_size(std::uint64_t size, std::uint32_t birth) const;
  // A part of a block of this site that holds what a block of the same site left there: it is not written, as a rule.
  bool seldom_written(trace::StackId stack, std::uint64_t size, std::uint32_t birth, const Extent& part) const;

  // How far off it is to judge one half of each site's compared blocks by the other, in pages of those predicted.
  double error() const;

 private:
  using Key = std::pair<std::uint64_t, std::uint64_t>;
  std::vector<BlockProfile> profiles_;
  std::map<Key, AlikeBlocks> by_site_;  // call site, size class
  std::map<std::uint64_t, AlikeBlocks> by_size_;
};

}  // namespace faultline::replay
