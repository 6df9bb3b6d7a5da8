// Heap pages known to be resident while a recording is loaded: touched by small blocks, or seen resident when a larger
// block went, and not given back since. A page known before a block was born says nothing about that block.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "replay/program.h"

namespace faultline::replay {

class HeapPages {
 public:
  explicit HeapPages(std::uint64_t start) : start_(page_floor(start)) {}

  void add(std::uint64_t begin, std::uint64_t end) {
    if (begin < start_ || begin >= end) return;
    const std::uint64_t last = index(end - 1);
    if (last >= kMostPages) return;
    if (last >= known_.size()) known_.resize(last + last / 2 + 64);
    for (std::uint64_t page = index(begin); page <= last; ++page) known_[page] = 1;
  }
  // Whole pages of [begin, end) went back to the kernel.
  void remove(std::uint64_t begin, std::uint64_t end) {
    if (begin < start_) return;
    for (std::uint64_t page = index(page_ceil(begin)); page < known_.size() && page < index(page_floor(end)); ++page) known_[page] = 0;
  }
  // Known parts of [begin, end), as offsets from begin.
  std::vector<Extent> known(std::uint64_t begin, std::uint64_t end) const {
    std::vector<Extent> list;
    if (begin < start_) return list;
    for (std::uint64_t page = index(begin); page < known_.size() && address(page) < end; ++page) {
      if (!known_[page]) continue;
      const std::uint64_t from = std::max(begin, address(page)) - begin, to = std::min(end, address(page + 1)) - begin;
      if (!list.empty() && list.back().end == from) {
        list.back().end = to;
      } else {
        list.push_back({from, to});
      }
    }
    return list;
  }

 private:
  static constexpr std::uint64_t kMostPages = std::uint64_t{1} << 28;  // 1 TiB of heap: beyond it nothing is known
  std::uint64_t start_;
  std::vector<std::uint8_t> known_;

  std::uint64_t index(std::uint64_t at) const { return (at - start_) >> kPageShift; }
  std::uint64_t address(std::uint64_t page) const { return start_ + (page << kPageShift); }
};

}  // namespace faultline::replay
