// Contents of modelled mappings outside the brk area: the few words the allocator stores there, by page.
// A page with many words (the chunks of a secondary arena) turns into a plain array.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "base/units.h"

namespace faultline::heap {

class SparseWords {
 public:
  SparseWords() = default;
  SparseWords(const SparseWords& other);  // a copy of the contents
  SparseWords& operator=(const SparseWords&) = delete;

  std::uint64_t load(std::uint64_t address) const;
  void store(std::uint64_t address, std::uint64_t value);
  void drop(std::uint64_t start, std::uint64_t end);  // whole pages
  void clear(std::uint64_t address, std::uint64_t length);
  void move_pages(std::uint64_t from, std::uint64_t length, std::uint64_t to);  // mremap
  // Calls visit(address, value) for the stored words of [start, start + length).
  template <typename Visit>
  void for_each(std::uint64_t start, std::uint64_t length, Visit&& visit) const {
    for (auto at = pages_.lower_bound(page_floor(start)); at != pages_.end() && at->first < start + length; ++at) {
      const auto give = [&](std::uint64_t address, std::uint64_t value) {
        if (address >= start && address < start + length) visit(address, value);
      };
      for (const auto& [offset, value] : at->second.few) give(at->first + offset, value);
      if (at->second.all == nullptr) continue;
      for (std::size_t i = 0; i < kWordsPerPage; ++i) give(at->first + i * 8, (*at->second.all)[i]);
    }
  }
  bool empty() const { return pages_.empty(); }

 private:
  static constexpr std::size_t kWordsPerPage = kPageSize / 8;
  static constexpr std::size_t kFew = 12;
  struct Page {
    std::vector<std::pair<std::uint16_t, std::uint64_t>> few;  // (byte offset, value)
    std::unique_ptr<std::array<std::uint64_t, kWordsPerPage>> all;
  };
  std::map<std::uint64_t, Page> pages_;  // by page address
};

}  // namespace faultline::heap
