// Heap pages known to be resident while a recording is loaded: touched by small blocks, or seen resident when a larger
// block went, and not given back since. A page known before a block was born says nothing about that block.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "replay/program.h"

namespace faultline::replay {

class HeapPages {
 public:
  void add(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    for (std::uint64_t page = begin >> kPageShift; page <= (end - 1) >> kPageShift; ++page) region_of(page).set(page % kRegionPages);
  }
  // Whole pages of [begin, end) went back to the kernel.
  void remove(std::uint64_t begin, std::uint64_t end) {
    const std::uint64_t last = end >> kPageShift;
    for (std::uint64_t page = page_ceil(begin) >> kPageShift; page < last;) {
      const std::uint64_t next = (page / kRegionPages + 1) * kRegionPages;
      if (Region* region = find(page)) {
        if (page % kRegionPages == 0 && next <= last) region->reset();
        else for (std::uint64_t at = page; at < std::min(next, last); ++at) region->reset(at % kRegionPages);
      }
      page = next;
    }
  }
  bool contains(std::uint64_t address) {
    const Region* region = find(address >> kPageShift);
    return region != nullptr && region->test((address >> kPageShift) % kRegionPages);
  }
  // Known parts of [begin, end), as offsets from begin.
  std::vector<Extent> known(std::uint64_t begin, std::uint64_t end) {
    std::vector<Extent> list;
    for (std::uint64_t page = begin >> kPageShift; page << kPageShift < end; ++page) {
      const Region* region = find(page);
      if (region == nullptr || !region->test(page % kRegionPages)) continue;
      const std::uint64_t from = std::max(begin, page << kPageShift) - begin, to = std::min(end, (page + 1) << kPageShift) - begin;
      if (!list.empty() && list.back().end == from) {
        list.back().end = to;
      } else {
        list.push_back({from, to});
      }
    }
    return list;
  }

 private:
  static constexpr std::uint64_t kRegionPages = 16384;  // 64 MiB, as much as a thread heap
  using Region = std::bitset<kRegionPages>;

  std::unordered_map<std::uint64_t, Region> regions_;
  std::uint64_t last_number_ = ~std::uint64_t{0};
  Region* last_ = nullptr;  // elements of an unordered_map stay where they are

  Region* find(std::uint64_t page) {
    const std::uint64_t number = page / kRegionPages;
    if (number == last_number_) return last_;
    const auto at = regions_.find(number);
    if (at == regions_.end()) return nullptr;
    last_number_ = number;
    return last_ = &at->second;
  }
  Region& region_of(std::uint64_t page) {
    if (Region* region = find(page)) return *region;
    last_number_ = page / kRegionPages;
    return *(last_ = &regions_[last_number_]);
  }
};

}  // namespace faultline::replay
