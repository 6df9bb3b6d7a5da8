#include "replay/alike_blocks.h"

#include <algorithm>

namespace faultline::replay {
namespace {

constexpr std::size_t kAround = 8;  // born before, and after
constexpr unsigned kEnough = 4;     // blocks, to speak for the others

bool before(const Extent& x, const Extent& y) { return x.begin < y.begin; }

bool any_in(const std::vector<Extent>& extents, const Extent& part) {
  return std::any_of(extents.begin(), extents.end(), [&](const Extent& e) { return e.begin < part.end && part.begin < e.end; });
}

bool half_of(const std::vector<Extent>& extents, const Extent& part) {
  std::uint64_t covered = 0;
  for (const Extent& extent : extents) {
    const std::uint64_t begin = std::max(extent.begin, part.begin), end = std::min(extent.end, part.end);
    if (begin < end) covered += end - begin;
  }
  return 2 * covered > part.end - part.begin;
}

std::pair<std::size_t, std::size_t> around(std::span<const BlockProfile> profiles, std::span<const std::uint32_t> among, std::uint32_t birth) {
  const auto after = std::partition_point(among.begin(), among.end(), [&](std::uint32_t i) { return profiles[i].birth <= birth; });
  const auto at = static_cast<std::size_t>(after - among.begin());
  return {at - std::min(kAround, at), at + std::min(kAround, among.size() - at)};
}

}  // namespace

void AlikeBlocks::by_birth(std::span<const BlockProfile> profiles) {
  std::sort(all_.begin(), all_.end(), [&](std::uint32_t x, std::uint32_t y) { return profiles[x].birth < profiles[y].birth; });
}

void AlikeBlocks::remember_written(std::span<const BlockProfile> profiles) {
  std::vector<Extent> extents;
  for (const std::uint32_t i : all_)
    for (const auto* list : {&profiles[i].written, &profiles[i].changed}) extents.insert(extents.end(), list->begin(), list->end());
  std::sort(extents.begin(), extents.end(), before);
  for (const Extent& extent : extents) {
    if (!ever_written_.empty() && extent.begin <= ever_written_.back().end) ever_written_.back().end = std::max(ever_written_.back().end, extent.end);
    else ever_written_.push_back(extent);
  }
}

void AlikeBlocks::settle(std::vector<BlockProfile>& profiles) {
  by_birth(profiles);
  remember_written(profiles);
  for (const std::uint32_t i : all_) {
    BlockProfile& profile = profiles[i];
    for (const Extent& part : profile.same)
      if (!seldom_written(profiles, profile.birth, part)) profile.unknown.push_back(part);
  }
  for (const std::uint32_t i : all_)
    for (Extent& part : profiles[i].changed) part = with_front(profiles, profiles[i].birth, part);
  for (const std::uint32_t i : all_) {
    BlockProfile& profile = profiles[i];
    profile.written.insert(profile.written.end(), profile.changed.begin(), profile.changed.end());
    profile.changed.clear();
    std::sort(profile.written.begin(), profile.written.end(), before);
  }
  const std::uint64_t unused = spare(profiles);
  for (const std::uint32_t i : all_) profiles[i].spare = unused;
}

void AlikeBlocks::sort(std::span<const BlockProfile> profiles) {
  by_birth(profiles);
  for (const std::uint32_t i : all_) (profiles[i].unknown.empty() ? whole_ : partly_).push_back(i);
}

// Blocks nearby that show this part decide. Where none does, but others were written elsewhere and none ever here: memory that is fresh, or
// another site's, would have shown it.
bool AlikeBlocks::seldom_written(std::span<const BlockProfile> profiles, std::uint32_t birth, const Extent& part) const {
  unsigned written = 0, untouched = 0, elsewhere = 0;
  const auto [first, last] = around(profiles, all_, birth);
  for (std::size_t i = first; i < last; ++i) {
    const BlockProfile& other = profiles[all_[i]];
    if (any_in(other.written, part) || any_in(other.changed, part)) ++written;
    else if (half_of(other.untouched, part) || half_of(other.zeroes, part)) ++untouched;
    else if (!other.written.empty() || !other.changed.empty()) ++elsewhere;
  }
  if (written != 0 || untouched != 0) return untouched > written;
  const auto behind = std::partition_point(ever_written_.begin(), ever_written_.end(), [&](const Extent& e) { return e.end <= part.begin; });
  return elsewhere >= kEnough && (behind == ever_written_.end() || behind->begin >= part.end);
}

// Who came to where this begins came from further in front, in blocks that show it.
Extent AlikeBlocks::with_front(std::span<const BlockProfile> profiles, std::uint32_t birth, const Extent& changed) const {
  const auto [first, last] = around(profiles, all_, birth);
  std::uint64_t begin = changed.begin;
  for (std::size_t i = first; i < last; ++i)
    for (const Extent& other : profiles[all_[i]].written)
      if (other.begin < changed.begin && changed.begin < other.end) begin = std::min(begin, other.begin);
  return {begin, changed.end};
}

// Cells that do not fill the block: its last line never changes where that is short, and does where it holds the last cell, too.
std::uint64_t AlikeBlocks::spare(std::span<const BlockProfile> profiles) const {
  const auto end_of = [&](const BlockProfile& profile) { return profile.written.empty() ? 0 : profile.written.back().end; };
  unsigned unused = 0, used = 0;
  std::uint64_t bytes = 0;
  for (const std::uint32_t i : all_) {
    const BlockProfile& profile = profiles[i];
    if (end_of(profile) >= profile.size || end_of(profile) + profile.last_line < profile.size) continue;
    ++unused;
    bytes = std::max(bytes, profile.last_line);
  }
  for (const std::uint32_t i : all_) used += end_of(profiles[i]) >= profiles[i].size && profiles[i].last_line <= bytes;
  return unused >= kEnough + 2 * used ? bytes : 0;
}

const BlockProfile* AlikeBlocks::nearest(std::span<const BlockProfile> profiles, std::uint64_t size, std::uint32_t birth) const {
  const std::span<const std::uint32_t> among = whole_.empty() ? partly_ : whole_;
  const auto [first, last] = around(profiles, among, birth);
  const auto distance = [&](std::uint32_t i) {
    const BlockProfile& p = profiles[i];
    return std::pair(p.size > size ? p.size - size : size - p.size, p.birth > birth ? p.birth - birth : birth - p.birth);
  };
  const auto near = among.subspan(first, last - first);
  const auto best = std::min_element(near.begin(), near.end(), [&](std::uint32_t x, std::uint32_t y) { return distance(x) < distance(y); });
  return best == near.end() ? nullptr : &profiles[*best];
}

}  // namespace faultline::replay
