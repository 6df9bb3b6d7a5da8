// CLOCK with k bits: a hand goes round the pages in the order they came; a page found accessed lives on for k more rounds. One bit
// is second chance. Source: F. J. Corbato, "A paging experiment with the Multics system", MIT Project MAC MEMO-384, 1968: the usage
// bit found by the hand is shifted into k - 1 remembered ones, and a page goes when all are zero. It sees accessed bits at the hand.
#include "mm/reclaim/page_ring.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Clock final : public Policy {
 public:
  explicit Clock(const PolicyConfig& config)
      : rounds_(static_cast<std::uint8_t>(config.bits - 1)), view_(config.view), ring_(config), left_(config) {}

  // Just behind the hand, which stands at the oldest.
  void on_insert(PageId page, const Moment&) override {
    if (rounds_ > 0) left_.reach(page) = 0;
    ring_.push_newest(page);
  }
  void on_remove(PageId page, Removal) override { ring_.remove(page); }
  PageId pick_victim() override {
    for (;; ring_.move_to_newest(ring_.oldest())) {
      const PageId page = ring_.oldest();
      if (view_->test_and_clear_accessed(page)) {
        if (rounds_ > 0) left_[page] = rounds_;
      } else if (rounds_ == 0 || left_[page] == 0) {
        return page;
      } else {
        --left_[page];
      }
    }
  }
  void prefetch(std::span<const PageId> pages) const override { ring_.prefetch(pages); }
  void check_invariants() const override { ring_.check_invariants(); }

 private:
  std::uint8_t rounds_;  // that a page accessed once lives on without another access, after the one that found it accessed
  PageView* view_;
  PageRing ring_;
  PageArray<std::uint8_t> left_;  // of them, with more bits than one: else it would be one more cold byte a page
};

FL_REGISTER_POLICY("clock", Sees::accessed_bit, "Corbato, MIT Project MAC MEMO-384, 1968",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Clock>(config); });

}  // namespace
}  // namespace faultline::mm
