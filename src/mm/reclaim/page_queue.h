// PageQueue: pages in an order, newest at one end, in an array: the next of a page that is old and in no cache is known without a look
// at it, so that what is known of them can be fetched many steps ahead. Each page's place is kept by the owner, beside what else it
// keeps of the page; a page taken out elsewhere leaves a hole. PageRing is the same for policies that only take the oldest.
#pragma once

#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {

class PageQueue {
 public:
  using Place = std::uint32_t;  // of a page, for as long as it is here and no other is pushed with `moved` called for it

  bool empty() const { return size_ == 0; }
  std::uint64_t size() const { return size_; }
  PageId oldest() const { return size_ == 0 ? kNoPage : slots_[begin_ & mask()]; }

  // moved(page, place): it is there from now on; the one that is pushed, and others where room had to be made.
  template <typename Moved>
  void push_newest(PageId page, Moved&& moved) {
    if (end_ - begin_ == slots_.size()) make_room(moved);
    slots_[end_ & mask()] = page;
    moved(page, end_++);
    ++size_;
  }
  template <typename Moved>
  void push_oldest(PageId page, Moved&& moved) {
    if (end_ - begin_ == slots_.size()) make_room(moved);
    slots_[--begin_ & mask()] = page;
    moved(page, begin_);
    ++size_;
  }
  void remove(Place place) {
    slots_[place & mask()] = kNoPage;
    --size_;
    while (begin_ != end_ && slots_[begin_ & mask()] == kNoPage) ++begin_;
  }
  // Calls visit(page) for at most `most` pages, oldest first.
  template <typename Visit>
  void for_oldest(std::uint64_t most, Visit&& visit) const {
    for (Place at = begin_; at != end_ && most > 0; ++at) {
      const PageId page = slots_[at & mask()];
      if (page == kNoPage) continue;
      visit(page);
      --most;
    }
  }
  PageId at(Place place) const { return slots_[place & mask()]; }

 private:
  Place mask() const { return static_cast<Place>(slots_.size() - 1); }

  // Twice as much, unless most of it is holes: then closing them is paid for by three times as many pages that came.
  template <typename Moved>
  void make_room(Moved&& moved) {
    const std::size_t more = size_ > slots_.size() / 4 ? slots_.size() * 2 : slots_.size();
    FL_ASSERT(more <= std::size_t{1} << 31);
    std::vector<PageId> old(more, kNoPage);
    old.swap(slots_);
    const auto old_mask = static_cast<Place>(old.size() - 1);
    const Place begin = begin_, end = end_;
    begin_ = end_ = 0;
    for (Place at = begin; at != end; ++at) {
      const PageId page = old[at & old_mask];
      if (page == kNoPage) continue;
      slots_[end_ & mask()] = page;
      moved(page, end_++);
    }
  }

  std::vector<PageId> slots_ = std::vector<PageId>(64, kNoPage);  // as many as a power of two; kNoPage: a hole
  Place begin_ = 0, end_ = 0;  // of pages that came, modulo 2^32; the slot is the count's lowest bits. No hole at begin_
  std::uint64_t size_ = 0;
};

}  // namespace faultline::mm
