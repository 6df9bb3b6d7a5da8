// LFU: the page referenced least often since it came; among equals the one least recently referenced. Counts end with residency
// (in-cache LFU), so it is not a stack algorithm. Source: K. Shah, A. Mitra, D. Matani, "An O(1) algorithm for implementing the LFU
// cache eviction scheme", 2010: pages of one count form a list, and the lists form one. It sees every reference.
#include <vector>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Lfu final : public Policy {
 public:
  explicit Lfu(const PolicyConfig& config) : links_(config), group_of_(config) { groups_.push_back({0, 0, 0, PageList(links_)}); }

  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    group_of_.reach(page) = after(0, 1);
    groups_[group_of_[page]].pages.push_newest(page);
  }
  void on_access(PageId page, const Moment&) override {
    const std::uint32_t from = group_of_[page];
    Group& old = groups_[from];
    // Alone with its count, and nobody has the next one: the whole group moves up.
    if (old.pages.size() == 1 && (old.above == 0 || groups_[old.above].count > old.count + 1)) {
      ++old.count;
      return;
    }
    const std::uint32_t to = after(from, old.count + 1);  // may move groups_
    groups_[from].pages.remove(page);
    groups_[to].pages.push_newest(page);
    group_of_[page] = to;
    if (groups_[from].pages.empty()) retire(from);
  }
  void on_remove(PageId page, Removal) override {
    const std::uint32_t group = group_of_[page];
    groups_[group].pages.remove(page);
    if (groups_[group].pages.empty()) retire(group);
  }
  PageId pick_victim() override { return groups_[groups_[0].above].pages.oldest(); }
  void prefetch(std::span<const PageId> pages) const override {
    links_.prefetch(pages);
    group_of_.prefetch(pages);
  }
  void check_invariants() const override {
    std::uint64_t count = 0;
    for (std::uint32_t at = groups_[0].above; at != 0; at = groups_[at].above) {
      FL_ASSERT(groups_[at].count > count && !groups_[at].pages.empty() && groups_[groups_[at].above].below == at);
      groups_[at].pages.check_invariants();
      count = groups_[at].count;
    }
  }

 private:
  struct Group {
    std::uint64_t count;
    std::uint32_t below, above;  // groups of the next lower and higher count; 0, which has no pages, ends both ways
    PageList pages;
  };
  // The group with this count, which is the next possible one above group `below`.
  std::uint32_t after(std::uint32_t below, std::uint64_t count) {
    const std::uint32_t above = groups_[below].above;
    if (above != 0 && groups_[above].count == count) return above;
    std::uint32_t made = static_cast<std::uint32_t>(groups_.size());
    if (spare_.empty()) {
      groups_.push_back({count, below, above, PageList(links_)});
    } else {
      made = spare_.back();
      spare_.pop_back();
      groups_[made] = {count, below, above, PageList(links_)};
    }
    groups_[below].above = groups_[above].below = made;
    return made;
  }
  void retire(std::uint32_t group) {
    groups_[groups_[group].below].above = groups_[group].above;
    groups_[groups_[group].above].below = groups_[group].below;
    spare_.push_back(group);
  }

  PageLinks links_;
  std::vector<Group> groups_;
  std::vector<std::uint32_t> spare_;
  PageArray<std::uint32_t> group_of_;
};

FL_REGISTER_POLICY("lfu", Sees::every_access, "Shah, Mitra and Matani, 2010 (counts while resident, ties by recency)",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Lfu>(config); });

}  // namespace
}  // namespace faultline::mm
