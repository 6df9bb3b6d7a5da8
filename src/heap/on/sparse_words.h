// Contents of modelled mappings outside the brk area: the words the allocator stores there. A mapped chunk has a few of them on
// its first page, a thread's heap has them everywhere: memory is kept by regions of 64 MiB, the size of such a heap, and a
// region with many words becomes plain memory.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/units.h"
#include "heap/on/host_pages.h"

namespace faultline::heap {

class SparseWords {
 public:
  SparseWords() = default;
  SparseWords(const SparseWords& other);  // a copy of the contents
  SparseWords& operator=(const SparseWords&) = delete;

  std::uint64_t load(std::uint64_t address) const {
    const Region* region = find(address);
    if (region == nullptr) return 0;
    return region->plain != nullptr ? region->plain->load(address) : load_sparse(*region, address);
  }
  void store(std::uint64_t address, std::uint64_t value) {
    Region* region = find(address);
    if (region != nullptr && region->plain != nullptr) return region->plain->store(address, value);
    store_sparse(address, value);
  }
  void drop(std::uint64_t start, std::uint64_t end);  // whole pages
  void clear(std::uint64_t address, std::uint64_t length);
  void copy(std::uint64_t to, std::uint64_t from, std::uint64_t length);  // memmove
  void move_pages(std::uint64_t from, std::uint64_t length, std::uint64_t to);  // mremap
  // Calls visit(address, value) for the stored words of [start, start + length), and perhaps for some that are zero.
  template <typename Visit>
  void for_each(std::uint64_t start, std::uint64_t length, Visit&& visit) const {
    const std::uint64_t end = start + length;
    for (auto at = regions_.lower_bound(start / kRegion); at != regions_.end() && at->first * kRegion < end; ++at)
      visit_region(at->second, at->first * kRegion, start, end, visit);
  }
  bool empty() const { return regions_.empty(); }

 private:
  static constexpr std::uint64_t kRegion = std::uint64_t{64} << 20;
  static constexpr std::size_t kWordsPerPage = kPageSize / 8;
  static constexpr std::size_t kFew = 12;
  static constexpr unsigned kManyFullPages = 4;
  struct Page {
    std::vector<std::pair<std::uint16_t, std::uint64_t>> few;  // (byte offset, value)
    std::unique_ptr<std::array<std::uint64_t, kWordsPerPage>> all;
  };
  struct Region {
    std::map<std::uint64_t, Page> pages;  // by page address
    unsigned full_pages = 0;              // that were stored to so often that they became arrays
    std::unique_ptr<HostPages> plain;     // then `pages` is empty
  };
  std::map<std::uint64_t, Region> regions_;  // by address / kRegion; a region stays where it is
  mutable std::uint64_t last_number_ = ~std::uint64_t{0};
  mutable const Region* last_ = nullptr;  // most accesses go to the region of the one before

  const Region* find(std::uint64_t address) const {
    if (address / kRegion == last_number_) return last_;
    return find_elsewhere(address / kRegion);
  }
  Region* find(std::uint64_t address) { return const_cast<Region*>(std::as_const(*this).find(address)); }
  const Region* find_elsewhere(std::uint64_t number) const;
  Region& make(std::uint64_t address);
  void forget_last() { last_number_ = ~std::uint64_t{0}; }
  static std::uint64_t load_sparse(const Region& region, std::uint64_t address);
  void store_sparse(std::uint64_t address, std::uint64_t value);
  static void make_plain(Region& region, std::uint64_t base);

  template <typename Visit>
  static void visit_region(const Region& region, std::uint64_t base, std::uint64_t start, std::uint64_t end, Visit&& visit) {
    const auto give = [&](std::uint64_t address, std::uint64_t value) {
      if (address >= start && address < end) visit(address, value);
    };
    if (region.plain != nullptr) {
      for (std::uint64_t page = page_floor(std::max(start, base)); page < std::min(end, base + kRegion); page += kPageSize) {
        if (!region.plain->holds_data(page)) continue;
        for (std::size_t i = 0; i < kWordsPerPage; ++i) give(page + i * 8, region.plain->load(page + i * 8));
      }
      return;
    }
    for (auto at = region.pages.lower_bound(page_floor(start)); at != region.pages.end() && at->first < end; ++at) {
      for (const auto& [offset, value] : at->second.few) give(at->first + offset, value);
      if (at->second.all == nullptr) continue;
      for (std::size_t i = 0; i < kWordsPerPage; ++i) give(at->first + i * 8, (*at->second.all)[i]);
    }
  }
};

}  // namespace faultline::heap
