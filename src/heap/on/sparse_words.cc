#include "heap/on/sparse_words.h"

#include <algorithm>

namespace faultline::heap {

SparseWords::SparseWords(const SparseWords& other) {
  for (const auto& [number, region] : other.regions_) {
    Region& mine = regions_[number];
    mine.full_pages = region.full_pages;
    if (region.plain != nullptr) mine.plain = std::make_unique<HostPages>(*region.plain);
    for (const auto& [address, page] : region.pages) {
      Page& copy = mine.pages[address];
      copy.few = page.few;
      if (page.all != nullptr) copy.all = std::make_unique<std::array<std::uint64_t, kWordsPerPage>>(*page.all);
    }
  }
}

const SparseWords::Region* SparseWords::find_elsewhere(std::uint64_t number) const {
  const auto found = regions_.find(number);
  if (found == regions_.end()) return nullptr;
  last_number_ = number;
  return last_ = &found->second;
}

SparseWords::Region& SparseWords::make(std::uint64_t address) {
  if (Region* const region = find(address)) return *region;
  return regions_[address / kRegion];
}

std::uint64_t SparseWords::load_sparse(const Region& region, std::uint64_t address) {
  const auto page = region.pages.find(page_floor(address));
  if (page == region.pages.end()) return 0;
  const std::uint64_t offset = address % kPageSize;
  if (page->second.all != nullptr) return (*page->second.all)[offset / 8];
  for (const auto& [at, value] : page->second.few) {
    if (at == offset) return value;
  }
  return 0;
}

void SparseWords::store_sparse(std::uint64_t address, std::uint64_t value) {
  Region& region = make(address);
  Page& page = region.pages[page_floor(address)];
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
    ++region.full_pages;
  }
  (*page.all)[offset / 8] = value;
  if (region.full_pages >= kManyFullPages) make_plain(region, address / kRegion * kRegion);
}

void SparseWords::make_plain(Region& region, std::uint64_t base) {
  auto plain = std::make_unique<HostPages>(base, kRegion);
  if (!plain->covers(base + kRegion - 1)) {  // the host has no room for it
    region.full_pages = 0;
    return;
  }
  visit_region(region, base, base, base + kRegion, [&](std::uint64_t address, std::uint64_t value) { plain->store(address, value); });
  region.plain = std::move(plain);
  region.pages.clear();
}

void SparseWords::drop(std::uint64_t start, std::uint64_t end) {
  for (auto at = regions_.lower_bound(start / kRegion); at != regions_.end() && at->first * kRegion < end;) {
    Region& region = at->second;
    const std::uint64_t base = at->first * kRegion;
    if (start <= base && base + kRegion <= end) {
      forget_last();
      at = regions_.erase(at);
      continue;
    }
    if (region.plain != nullptr) {
      for (std::uint64_t page = std::max(start, base); page < std::min(end, base + kRegion); page += kPageSize) region.plain->drop(page);
    } else {
      region.pages.erase(region.pages.lower_bound(start), region.pages.lower_bound(end));
    }
    ++at;
  }
}

void SparseWords::clear(std::uint64_t address, std::uint64_t length) {
  for (std::uint64_t end = address + length; address < end;) {
    const std::uint64_t stop = std::min(end, (address / kRegion + 1) * kRegion);
    if (Region* const region = find(address)) {
      if (region->plain != nullptr) {
        region->plain->clear(address, stop - address);
      } else {
        for (auto page = region->pages.lower_bound(page_floor(address)); page != region->pages.end() && page->first < stop; ++page) {
          const auto inside = [&](std::uint64_t offset) { return page->first + offset >= address && page->first + offset < stop; };
          for (auto& [offset, value] : page->second.few) value = inside(offset) ? 0 : value;
          for (std::size_t i = 0; page->second.all != nullptr && i < kWordsPerPage; ++i)
            if (inside(i * 8)) (*page->second.all)[i] = 0;
        }
      }
    }
    address = stop;
  }
}

void SparseWords::copy(std::uint64_t to, std::uint64_t from, std::uint64_t length) {
  if (length == 0) return;
  Region* const region = find(to);
  const bool one_region = to / kRegion == (to + length - 1) / kRegion && from / kRegion == (from + length - 1) / kRegion && to / kRegion == from / kRegion;
  if (one_region && region != nullptr && region->plain != nullptr) return region->plain->copy(to, from, length);
  std::vector<std::pair<std::uint64_t, std::uint64_t>> words;
  for_each(from, length, [&](std::uint64_t at, std::uint64_t value) {
    if (value != 0) words.emplace_back(at - from + to, value);
  });
  clear(to, length);
  for (const auto& [at, value] : words) store(at, value);
}

void SparseWords::move_pages(std::uint64_t from, std::uint64_t length, std::uint64_t to) {
  std::vector<std::pair<std::uint64_t, std::uint64_t>> words;
  for_each(from, length, [&](std::uint64_t at, std::uint64_t value) {
    if (value != 0) words.emplace_back(at - from + to, value);
  });
  drop(from, from + length);
  drop(to, to + length);
  for (const auto& [at, value] : words) store(at, value);
}

}  // namespace faultline::heap
