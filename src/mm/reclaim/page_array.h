// PageArray: what a policy keeps about each page, by page number. It grows as higher numbers appear, so that a policy need not know
// how many pages there will be; page numbers are dense, so nothing is wasted.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "mm/reclaim/policy.h"

namespace faultline::mm {

template <typename T>
class PageArray {
 public:
  explicit PageArray(std::uint64_t pages, T initial = T{}) : initial_(initial), entries_(pages, initial) {}
  explicit PageArray(const PolicyConfig& config, T initial = T{})
      : initial_(initial), entries_(config.pages, initial, config.memory != nullptr ? config.memory : std::pmr::get_default_resource()) {}

  // The page's entry, made when its number was not reached before. References to other entries may move.
  T& reach(PageId page) {
    if (page >= entries_.size()) [[unlikely]]
      entries_.resize(page + std::uint64_t{page} / 2 + 64, initial_);
    return entries_[page];
  }
  // Its number must have been reached.
  T& operator[](PageId page) { return entries_[page]; }
  const T& operator[](PageId page) const { return entries_[page]; }

  void prefetch(std::span<const PageId> pages) const {
    for (const PageId page : pages) {
      if (page < entries_.size()) __builtin_prefetch(&entries_[page], 1);
    }
  }
  std::uint64_t size() const { return entries_.size(); }

 private:
  T initial_;
  std::pmr::vector<T> entries_;
};

}  // namespace faultline::mm
