// PageList: pages in an order, newest at the head, linked through an array over page numbers: no allocation per page, and a page's
// place is found from its number. Several lists may share one PageLinks as long as no page is on two of them.
// Counterpart: struct list_head in struct page (page->lru).
#pragma once

#include <cstdint>

#include "base/assert.h"
#include "mm/reclaim/page_array.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {

struct PageLink {
  PageId newer = kNoPage;
  PageId older = kNoPage;
};
using PageLinks = PageArray<PageLink>;

class PageList {
 public:
  explicit PageList(PageLinks& links) : links_(&links) {}

  bool empty() const { return size_ == 0; }
  std::uint64_t size() const { return size_; }
  PageId newest() const { return head_; }
  PageId oldest() const { return tail_; }
  PageId newer(PageId page) const { return (*links_)[page].newer; }
  PageId older(PageId page) const { return (*links_)[page].older; }

  void push_newest(PageId page) {
    (*links_)[page] = {kNoPage, head_};
    (head_ == kNoPage ? tail_ : (*links_)[head_].newer) = page;
    head_ = page;
    ++size_;
  }
  void push_oldest(PageId page) {
    (*links_)[page] = {tail_, kNoPage};
    (tail_ == kNoPage ? head_ : (*links_)[tail_].older) = page;
    tail_ = page;
    ++size_;
  }
  // It must be on this list.
  void remove(PageId page) {
    const PageLink link = (*links_)[page];
    (link.newer == kNoPage ? head_ : (*links_)[link.newer].older) = link.older;
    (link.older == kNoPage ? tail_ : (*links_)[link.older].newer) = link.newer;
    --size_;
  }
  void move_to_newest(PageId page) {
    if (page == head_) return;
    remove(page);
    push_newest(page);
  }
  void check_invariants() const {
    std::uint64_t seen = 0;
    PageId newer = kNoPage;
    for (PageId page = head_; page != kNoPage; page = (*links_)[page].older) {
      FL_ASSERT((*links_)[page].newer == newer);
      newer = page;
      ++seen;
    }
    FL_ASSERT(newer == tail_ && seen == size_);
  }

 private:
  PageLinks* links_;
  PageId head_ = kNoPage;
  PageId tail_ = kNoPage;
  std::uint64_t size_ = 0;
};

}  // namespace faultline::mm
