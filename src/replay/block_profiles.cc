#include "replay/block_profiles.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace faultline::replay {
namespace {

std::uint64_t size_class(std::uint64_t bytes) { return static_cast<std::uint64_t>(std::bit_width(bytes)); }

double pages_of(const BlockProfile& profile) {
  double pages = 0;
  for (const Extent& part : profile.written) pages += static_cast<double>(part.end - part.begin) / kPageSize;
  return pages;
}

}  // namespace

std::vector<Extent> BlockProfile::parts_of(const std::vector<Extent>& extents, const Extent& within, std::uint64_t block_size) const {
  constexpr std::uint64_t kToTheEnd = 64;  // contents are compared by lines of so many bytes
  std::vector<Extent> parts;
  for (const Extent& extent : extents) {
    const bool to_the_end = extent.end + kToTheEnd >= size;
    const std::uint64_t begin = std::max(extent.begin, within.begin), end = std::min(to_the_end ? block_size : extent.end, within.end);
    if (begin < end) parts.push_back({begin, end});
  }
  return parts;
}

void BlockProfiles::add(trace::StackId stack, BlockProfile profile) {
  const auto index = static_cast<std::uint32_t>(profiles_.size());
  for (Alike* alike : {&by_site_[{stack, size_class(profile.size)}], &by_size_[profile.size]})
    (profile.unknown.empty() ? alike->whole : alike->partly).push_back(index);
  profiles_.push_back(std::move(profile));
}

void BlockProfiles::done() {
  const auto by_birth = [&](std::uint32_t x, std::uint32_t y) { return profiles_[x].birth < profiles_[y].birth; };
  const auto sort = [&](Alike& alike) {
    for (auto* list : {&alike.whole, &alike.partly}) std::sort(list->begin(), list->end(), by_birth);
  };
  for (auto& [key, alike] : by_site_) sort(alike);
  for (auto& [key, alike] : by_size_) sort(alike);
}

const BlockProfile* BlockProfiles::nearest(const Alike& alike, std::uint64_t size, std::uint32_t birth) const {
  const std::vector<std::uint32_t>& among = alike.whole.empty() ? alike.partly : alike.whole;
  constexpr std::ptrdiff_t kAround = 8;  // of the blocks born before and after, the one of the most alike size
  const auto at = std::partition_point(among.begin(), among.end(), [&](std::uint32_t i) { return profiles_[i].birth <= birth; });
  const auto first = at - std::min(kAround, at - among.begin()), last = at + std::min(kAround, among.end() - at);
  const auto distance = [&](std::uint32_t i) {
    const BlockProfile& p = profiles_[i];
    return std::pair(p.size > size ? p.size - size : size - p.size, p.birth > birth ? p.birth - birth : birth - p.birth);
  };
  const auto best = std::min_element(first, last, [&](std::uint32_t x, std::uint32_t y) { return distance(x) < distance(y); });
  return best == last ? nullptr : &profiles_[*best];
}

const BlockProfile* BlockProfiles::of_site(trace::StackId stack, std::uint64_t size, std::uint32_t birth) const {
  const auto at = by_site_.find({stack, size_class(size)});
  return at == by_site_.end() ? nullptr : nearest(at->second, size, birth);
}

const BlockProfile* BlockProfiles::of_size(std::uint64_t size, std::uint32_t birth) const {
  const auto at = by_size_.find(size);
  return at == by_size_.end() ? nullptr : nearest(at->second, size, birth);
}

double BlockProfiles::error() const {
  double wrong = 0, predicted = 0;
  for (const auto& [key, alike] : by_site_) {
    const std::vector<std::uint32_t>& list = alike.whole;
    double halves[2] = {0, 0};
    for (std::size_t i = 0; (i | 1) < list.size(); ++i) halves[i % 2] += pages_of(profiles_[list[i]]);
    wrong += std::abs(halves[0] - halves[1]);
    predicted += halves[1];
  }
  return predicted == 0 ? 1 : wrong / predicted;
}

}  // namespace faultline::replay
