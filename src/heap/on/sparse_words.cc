#include "heap/on/sparse_words.h"

namespace faultline::heap {

SparseWords::SparseWords(const SparseWords& other) {
  for (const auto& [address, page] : other.pages_) {
    Page& mine = pages_[address];
    mine.few = page.few;
    if (page.all != nullptr) mine.all = std::make_unique<std::array<std::uint64_t, kWordsPerPage>>(*page.all);
  }
}

std::uint64_t SparseWords::load(std::uint64_t address) const {
  const auto page = pages_.find(page_floor(address));
  if (page == pages_.end()) return 0;
  const std::uint64_t offset = address % kPageSize;
  if (page->second.all != nullptr) return (*page->second.all)[offset / 8];
  for (const auto& [at, value] : page->second.few) {
    if (at == offset) return value;
  }
  return 0;
}

void SparseWords::store(std::uint64_t address, std::uint64_t value) {
  Page& page = pages_[page_floor(address)];
  const std::uint64_t offset = address % kPageSize;
  if (page.all == nullptr) {
    for (auto& [at, old] : page.few) {
      if (at == offset) {
        old = value;
        return;
      }
    }
    if (page.few.size() < kFew) {
      page.few.emplace_back(static_cast<std::uint16_t>(offset), value);
      return;
    }
    page.all = std::make_unique<std::array<std::uint64_t, kWordsPerPage>>();
    for (const auto& [at, old] : page.few) (*page.all)[at / 8] = old;
    page.few = {};
  }
  (*page.all)[offset / 8] = value;
}

void SparseWords::drop(std::uint64_t start, std::uint64_t end) {
  pages_.erase(pages_.lower_bound(start), pages_.lower_bound(end));
}

void SparseWords::clear(std::uint64_t address, std::uint64_t length) {
  std::vector<std::uint64_t> stored;
  for_each(address, length, [&](std::uint64_t at, std::uint64_t value) {
    if (value != 0) stored.push_back(at);
  });
  for (const std::uint64_t at : stored) store(at, 0);
}

void SparseWords::move_pages(std::uint64_t from, std::uint64_t length, std::uint64_t to) {
  drop(to, to + length);
  std::vector<std::pair<std::uint64_t, Page>> moved;
  const auto first = pages_.lower_bound(from);
  const auto last = pages_.lower_bound(from + length);
  for (auto at = first; at != last; ++at) moved.emplace_back(at->first - from + to, std::move(at->second));
  pages_.erase(first, last);
  for (auto& [address, page] : moved) pages_[address] = std::move(page);
}

}  // namespace faultline::heap
