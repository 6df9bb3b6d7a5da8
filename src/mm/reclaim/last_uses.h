// LastUses: resident pages by the time of their last reference, the latest first: what the policies of variable size look at.
#pragma once

#include "mm/reclaim/page_array.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {

class LastUses {
 public:
  explicit LastUses(const PolicyConfig& config) : links_(config), list_(links_), used_(config) {}
  LastUses(const LastUses&) = delete;
  LastUses& operator=(const LastUses&) = delete;

  void add(PageId page, std::uint64_t time) {
    links_.reach(page);
    used_.reach(page) = time;
    list_.push_newest(page);
  }
  void use(PageId page, std::uint64_t time) {
    used_[page] = time;
    list_.move_to_newest(page);
  }
  void remove(PageId page) { list_.remove(page); }

  bool empty() const { return list_.empty(); }
  PageId oldest() const { return list_.oldest(); }
  std::uint64_t oldest_use() const { return used_[list_.oldest()]; }  // only where there is a page
  void prefetch(std::span<const PageId> pages) const {
    links_.prefetch(pages);
    used_.prefetch(pages);
  }
  void check_invariants() const { list_.check_invariants(); }

 private:
  PageLinks links_;
  PageList list_;
  PageArray<std::uint64_t> used_;
};

}  // namespace faultline::mm
