// AlikeBlocks: the compared blocks of one call site and size class, or of one size. What one of them alone leaves open the others
// may tell: whether what looks as before was written again.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "replay/block_profile.h"

namespace faultline::replay {

class AlikeBlocks {
 public:
  void add(std::uint32_t index) { all_.push_back(index); }  // of a profile

  // All of a site were added: decides what is open in their profiles.
  void settle(std::vector<BlockProfile>& profiles);
  // Profiles do not change any more.
  void sort(std::span<const BlockProfile> profiles);

  // The one to judge a block by: of the eight born before and after it the nearest in size, of those of which all is known if there
  // are any. nullptr: there is none.
  const BlockProfile* nearest(std::span<const BlockProfile> profiles, std::uint64_t size, std::uint32_t birth) const;
  // A part of a block that holds what a block of the same site left there: is it not written, as a rule? Settled.
  bool seldom_written(std::span<const BlockProfile> profiles, std::uint32_t birth, const Extent& part) const;

  std::span<const std::uint32_t> whole() const { return whole_; }

 private:
  std::vector<std::uint32_t> all_, whole_, partly_;  // by birth; all is known of them, or not
  std::vector<Extent> ever_written_;                 // ascending, apart: in any of them

  void by_birth(std::span<const BlockProfile> profiles);
  void remember_written(std::span<const BlockProfile> profiles);
  Extent with_front(std::span<const BlockProfile> profiles, std::uint32_t birth, const Extent& changed) const;
  std::uint64_t spare(std::span<const BlockProfile> profiles) const;
};

}  // namespace faultline::replay
