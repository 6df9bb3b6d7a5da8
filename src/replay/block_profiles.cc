#include "replay/block_profiles.h"

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

void BlockProfiles::add(trace::StackId stack, BlockProfile profile) {
  const auto index = static_cast<std::uint32_t>(profiles_.size());
  by_site_[{stack, size_class(profile.size)}].add(index);
  by_size_[profile.size].add(index);
  profiles_.push_back(std::move(profile));
}

void BlockProfiles::done() {
  for (auto& [key, alike] : by_site_) alike.settle(profiles_);
  for (auto& [key, alike] : by_site_) alike.sort(profiles_);
  for (auto& [key, alike] : by_size_) alike.sort(profiles_);
}

const BlockProfile* BlockProfiles::of_site(trace::StackId stack, std::uint64_t size, std::uint32_t birth) const {
  const auto at = by_site_.find({stack, size_class(size)});
  return at == by_site_.end() ? nullptr : at->second.nearest(profiles_, size, birth);
}

const BlockProfile* BlockProfiles::of_size(std::uint64_t size, std::uint32_t birth) const {
  const auto at = by_size_.find(size);
  return at == by_size_.end() ? nullptr : at->second.nearest(profiles_, size, birth);
}

bool BlockProfiles::seldom_written(trace::StackId stack, std::uint64_t size, std::uint32_t birth, const Extent& part) const {
  const auto at = by_site_.find({stack, size_class(size)});
  return at != by_site_.end() && at->second.seldom_written(profiles_, birth, part);
}

double BlockProfiles::error() const {
  double wrong = 0, predicted = 0;
  for (const auto& [key, alike] : by_site_) {
    const auto list = alike.whole();
    double halves[2] = {0, 0};
    for (std::size_t i = 0; (i | 1) < list.size(); ++i) halves[i % 2] += pages_of(profiles_[list[i]]);
    wrong += std::abs(halves[0] - halves[1]);
    predicted += halves[1];
  }
  return predicted == 0 ? 1 : wrong / predicted;
}

}  // namespace faultline::replay
