// PageRing: pages in the order they came, in an array, for policies that take the oldest. A list would do, but where its
// next page is stands only in the page before, which is old and in no cache: one after the other, each step waits for memory. Here
// the pages to come are known, and what their owner keeps about them is fetched some steps ahead. A page taken out elsewhere leaves
// a hole.
#pragma once

#include <cstdint>
#include <memory_resource>
#include <span>
#include <vector>

#include "base/assert.h"
#include "mm/reclaim/page_array.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {

class PageRing {
 public:
  explicit PageRing(const PolicyConfig& config)
      : view_(config.view), slots_(64, kNoPage, config.memory != nullptr ? config.memory : std::pmr::get_default_resource()), places_(config) {}

  bool empty() const { return begin_ == end_; }
  PageId oldest() const { return slots_[begin_ & mask()]; }  // only where there is one
  void push_newest(PageId page) {
    if (end_ - begin_ == slots_.size()) make_room();
    put(page);
  }
  // It must be here.
  void remove(PageId page) {
    --size_;
    if (page != oldest()) {
      slots_[places_[page] & mask()] = kNoPage;
      return;
    }
    do ++begin_;
    while (begin_ != end_ && oldest() == kNoPage);
    const PageId ahead = slots_[(begin_ + kAhead) & mask()];  // or a page that was here: no harm
    if (ahead != kNoPage && view_ != nullptr) view_->prefetch(std::span(&ahead, 1));
  }
  void move_to_newest(PageId page) {
    remove(page);
    push_newest(page);
  }
  void prefetch(std::span<const PageId> pages) const { places_.prefetch(pages); }
  void check_invariants() const {
    std::uint64_t seen = 0;
    for (std::uint32_t at = begin_; at != end_; ++at) {
      const PageId page = slots_[at & mask()];
      FL_ASSERT(page != kNoPage ? places_[page] == at : at != begin_);
      seen += page != kNoPage;
    }
    FL_ASSERT(seen == size_);
  }

 private:
  static constexpr std::uint32_t kAhead = 8;
  std::uint32_t mask() const { return static_cast<std::uint32_t>(slots_.size() - 1); }

  void put(PageId page) {
    slots_[end_ & mask()] = page;
    places_.reach(page) = end_++;
    ++size_;
  }
  // Twice as much, unless most of it is holes: then closing them is paid for by three times as many pages that came.
  void make_room() {
    const std::size_t more = size_ > slots_.size() / 4 ? slots_.size() * 2 : slots_.size();
    FL_ASSERT(more <= std::size_t{1} << 31);
    std::pmr::vector<PageId> old(more, kNoPage, slots_.get_allocator());
    old.swap(slots_);
    const auto old_mask = static_cast<std::uint32_t>(old.size() - 1);
    const std::uint32_t begin = begin_, end = end_;
    begin_ = end_ = 0;
    size_ = 0;
    for (std::uint32_t at = begin; at != end; ++at) {
      if (const PageId page = old[at & old_mask]; page != kNoPage) put(page);
    }
  }

  const PageView* view_;
  std::pmr::vector<PageId> slots_;      // as many as a power of two; kNoPage: a hole
  PageArray<std::uint32_t> places_;     // of each page, by the count below
  std::uint32_t begin_ = 0, end_ = 0;   // of pages that came; the slot is the count's lowest bits
  std::uint64_t size_ = 0;
};

}  // namespace faultline::mm
