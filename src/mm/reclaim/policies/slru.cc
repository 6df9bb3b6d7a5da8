// SLRU: two LRU lists. A page starts on probation; a reference there makes it protected, and the protected page least recently used
// steps back to the newest end of probation when its list is full. Source: R. Karedla, J. S. Love, B. G. Wherry, "Caching strategies
// to improve disk system performance", IEEE Computer 27(3), 1994; they leave the split open: here 20 % probation. More segments are
// the same rule, one step per reference. It sees every reference.
#include <algorithm>
#include <vector>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Slru final : public Policy {
 public:
  explicit Slru(const PolicyConfig& config)
      : links_(config), segments_(config.segments == 0 ? 2 : config.segments, PageList(links_)), segment_of_(config) {
    const double equal = 1.0 / static_cast<double>(segments_.size());
    const double first = config.share != 0 ? config.share : config.segments != 0 ? equal : 0.2;
    const double above = (1 - first) / static_cast<double>(std::max<std::size_t>(segments_.size() - 1, 1));
    limit_ = config.part(above);
  }

  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    segment_of_.reach(page) = 0;
    segments_[0].push_newest(page);
  }
  void on_access(PageId page, const Moment&) override {
    std::uint8_t at = segment_of_[page];
    if (at + 1U < segments_.size() && limit_ > 0) {
      segments_[at].remove(page);
      segments_[++at].push_newest(page);
      segment_of_[page] = at;
    } else {
      segments_[at].move_to_newest(page);
    }
    for (; at > 0 && segments_[at].size() > limit_; --at) {
      const PageId back = segments_[at].oldest();
      segments_[at].remove(back);
      segments_[at - 1U].push_newest(back);
      segment_of_[back] = static_cast<std::uint8_t>(at - 1);
    }
  }
  void on_remove(PageId page, Removal) override { segments_[segment_of_[page]].remove(page); }
  PageId pick_victim() override {
    const auto lowest = std::find_if(segments_.begin(), segments_.end(), [](const PageList& list) { return !list.empty(); });
    return lowest->oldest();
  }
  void prefetch(std::span<const PageId> pages) const override {
    links_.prefetch(pages);
    segment_of_.prefetch(pages);
  }
  void check_invariants() const override {
    for (std::size_t at = 0; at < segments_.size(); ++at) {
      segments_[at].check_invariants();
      FL_ASSERT(at == 0 || segments_[at].size() <= limit_);
    }
  }

 private:
  PageLinks links_;
  std::vector<PageList> segments_;  // probation first
  PageArray<std::uint8_t> segment_of_;
  std::uint64_t limit_ = 0;  // of each segment above the first
};

FL_REGISTER_POLICY("slru", Sees::every_access, "Karedla, Love and Wherry, IEEE Computer 27(3), 1994",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Slru>(config); });

}  // namespace
}  // namespace faultline::mm
