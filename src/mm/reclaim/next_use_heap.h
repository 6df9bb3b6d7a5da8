// NextUseHeap: resident pages by the time of their next reference, the furthest on top: what policies that see the future choose by.
// A heap of four children, a page's place in an array: a page that was just referenced is the lowest of all and rises from a leaf.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "base/assert.h"
#include "mm/reclaim/page_array.h"

namespace faultline::mm {

class NextUseHeap {
 public:
  explicit NextUseHeap(const PolicyConfig& config) : heap_(config.memory != nullptr ? config.memory : std::pmr::get_default_resource()), places_(config) {}

  bool empty() const { return heap_.empty(); }
  PageId furthest() const { return heap_.front().page; }

  void insert(PageId page, std::uint64_t next_use) {
    places_.reach(page);
    heap_.push_back({next_use, page});
    rise(heap_.size() - 1, {next_use, page});
  }
  // Later than before.
  void defer(PageId page, std::uint64_t next_use) { rise(places_[page], {next_use, page}); }
  void remove(PageId page) {
    const std::size_t hole = places_[page];
    const Entry last = heap_.back();
    heap_.pop_back();
    if (hole == heap_.size()) return;
    if (hole > 0 && heap_[(hole - 1) / 4].next_use < last.next_use) {
      rise(hole, last);
    } else {
      sink(hole, last);
    }
  }
  void prefetch(std::span<const PageId> pages) const { places_.prefetch(pages); }
  void check_invariants() const {
    for (std::size_t at = 0; at < heap_.size(); ++at) {
      FL_ASSERT(places_[heap_[at].page] == at && heap_[(at > 0 ? at - 1 : 0) / 4].next_use >= heap_[at].next_use);
    }
  }

 private:
  struct Entry {
    std::uint64_t next_use;
    PageId page;
  };
  void put(std::size_t at, const Entry& entry) {
    heap_[at] = entry;
    places_[entry.page] = static_cast<std::uint32_t>(at);
  }
  void rise(std::size_t at, const Entry& entry) {
    for (; at > 0; at = (at - 1) / 4) {
      const Entry& parent = heap_[(at - 1) / 4];
      if (parent.next_use >= entry.next_use) break;
      put(at, parent);
    }
    put(at, entry);
  }
  void sink(std::size_t at, const Entry& entry) {
    for (;;) {
      const std::size_t first = 4 * at + 1;
      if (first >= heap_.size()) break;
      std::size_t best = first;
      for (std::size_t child = first + 1; child < first + 4 && child < heap_.size(); ++child) {
        if (heap_[child].next_use > heap_[best].next_use) best = child;
      }
      if (heap_[best].next_use <= entry.next_use) break;
      put(at, heap_[best]);
      at = best;
    }
    put(at, entry);
  }

  std::pmr::vector<Entry> heap_;
  PageArray<std::uint32_t> places_;
};

}  // namespace faultline::mm
