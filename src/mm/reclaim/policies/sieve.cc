// SIEVE: a hand goes from the oldest page to the newest and takes the first it finds not accessed; survivors keep their places, so
// new pages are tried soon and old favourites stay. Source: Y. Zhang et al., "SIEVE is simpler than LRU", NSDI 2024, algorithm 1.
// It sees accessed bits at the hand.
#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Sieve final : public Policy {
 public:
  explicit Sieve(const PolicyConfig& config) : view_(config.view), links_(config), queue_(links_) {}

  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    queue_.push_newest(page);
  }
  void on_remove(PageId page, Removal) override {
    if (hand_ == page) hand_ = queue_.newer(page);
    queue_.remove(page);
  }
  PageId pick_victim() override {
    for (;; hand_ = queue_.newer(hand_)) {
      if (hand_ == kNoPage) hand_ = queue_.oldest();
      if (!view_->test_and_clear_accessed(hand_)) return hand_;
    }
  }
  void prefetch(std::span<const PageId> pages) const override { links_.prefetch(pages); }
  void check_invariants() const override {
    queue_.check_invariants();
    FL_ASSERT(hand_ == kNoPage || !queue_.empty());
  }

 private:
  PageView* view_;
  PageLinks links_;
  PageList queue_;
  PageId hand_ = kNoPage;  // none: at the oldest
};

FL_REGISTER_POLICY("sieve", Sees::accessed_bit, "Zhang et al., NSDI 2024",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Sieve>(config); });

}  // namespace
}  // namespace faultline::mm
