// CLOCK-Pro: LIRS with accessed bits. One clock holds hot pages, cold resident pages, and cold pages lately evicted whose test period
// still runs; a cold page referenced in its test period becomes hot and the share of cold frames grows, a test period that ends
// without makes it shrink. Three hands: cold looks for a victim, hot demotes and ends the test periods it passes, test keeps evicted
// pages no more than the frames. Neither hot nor cold frames fall below 1 %: the hands would go all the way round for each. Source: S. Jiang, F. Chen, X. Zhang, "CLOCK-Pro: an effective improvement of the CLOCK replacement",
// USENIX ATC 2005, section 4.3. It sees accessed bits at the hands.
#include <algorithm>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class ClockPro final : public Policy {
 public:
  explicit ClockPro(const PolicyConfig& config)
      : capacity_(config.capacity), least_(part(config)), cold_target_(least_), view_(config.view), links_(config), states_(config) {}

  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    State& state = states_.reach(page);
    const bool returned = state.kind == Kind::gone;
    if (returned) {
      leave(page);
      --gone_;
      grow_cold(+1);
    }
    // A page in its test period; and, until there are enough of them, every page is hot.
    const bool hot = returned || hot_ + cold_target_ < capacity_;
    state = {hot ? Kind::hot : Kind::cold, !hot};
    ++(hot ? hot_ : cold_);
    to_head(page);
    demote_surplus();
  }
  void on_remove(PageId page, Removal why) override {
    State& state = states_[page];
    --(state.kind == Kind::hot ? hot_ : cold_);
    if (why == Removal::evicted && state.kind == Kind::cold && state.test) {
      if (hand_cold_ == page) hand_cold_ = links_[page].newer;
      state.kind = Kind::gone;
      for (++gone_; gone_ > capacity_;) run_test_hand();
    } else {
      leave(page);
      state = {};
    }
  }
  void on_forget(PageId page) override {
    if (page < states_.size() && states_[page].kind == Kind::gone) drop_gone(page);
  }
  PageId pick_victim() override {
    while (cold_ == 0) run_hot_hand();
    for (;;) {
      const PageId page = hand_cold_;
      State& state = states_[page];
      if (state.kind != Kind::cold) {
        hand_cold_ = links_[page].newer;
      } else if (!view_->test_and_clear_accessed(page)) {
        return page;
      } else {
        leave(page);
        if (state.test) {
          state = {Kind::hot, false};
          --cold_;
          ++hot_;
          grow_cold(+1);
        } else {
          state.test = true;
        }
        to_head(page);
        demote_surplus();
      }
    }
  }
  void check_invariants() const override {
    std::uint64_t seen[4] = {};
    PageId page = hand_hot_;
    if (page != kNoPage) {
      do {
        ++seen[static_cast<int>(states_[page].kind)];
        FL_ASSERT(links_[links_[page].newer].older == page);
        page = links_[page].newer;
      } while (page != hand_hot_);
    }
    FL_ASSERT(seen[0] == 0 && seen[1] == hot_ && seen[2] == cold_ && seen[3] == gone_ && gone_ <= capacity_);
    FL_ASSERT(hot_ + cold_target_ <= capacity_ && cold_target_ >= 1);
  }

 private:
  enum class Kind : std::uint8_t { nowhere, hot, cold, gone };  // gone: cold, not resident, in its test period
  struct State {
    Kind kind = Kind::nowhere;
    bool test = false;
  };

  // The list is a ring; hands move to newer pages, and its head, where pages enter, is just behind the hot hand.
  void to_head(PageId page) {
    if (hand_hot_ == kNoPage) {
      hand_hot_ = hand_cold_ = hand_test_ = page;
      links_[page] = {page, page};
      return;
    }
    const PageId newest = links_[hand_hot_].older;
    links_[page] = {hand_hot_, newest};
    links_[newest].newer = links_[hand_hot_].older = page;
  }
  void leave(PageId page) {
    const PageLink link = links_[page];
    const PageId next = link.newer == page ? kNoPage : link.newer;
    for (PageId* hand : {&hand_hot_, &hand_cold_, &hand_test_}) {
      if (*hand == page) *hand = next;
    }
    links_[link.newer].older = link.older;
    links_[link.older].newer = link.newer;
  }
  void drop_gone(PageId page) {
    leave(page);
    states_[page] = {};
    --gone_;
  }
  void grow_cold(int by) {
    const std::uint64_t most = std::max(capacity_ - std::min(capacity_, least_), least_);
    cold_target_ = std::clamp(cold_target_ + static_cast<std::uint64_t>(by), least_, most);
  }
  // A test period ends without a reference.
  void end_test(PageId page) {
    State& state = states_[page];
    if (!state.test) return;
    grow_cold(-1);
    state.test = false;
    if (state.kind == Kind::gone) drop_gone(page);
  }
  void run_test_hand() {
    for (bool ended = false; !ended;) {
      const PageId page = hand_test_;
      hand_test_ = links_[page].newer;
      ended = states_[page].kind == Kind::gone;
      end_test(page);
    }
  }
  void run_hot_hand() {
    for (;;) {
      const PageId page = hand_hot_;
      hand_hot_ = links_[page].newer;
      State& state = states_[page];
      if (state.kind != Kind::hot) {
        end_test(page);
      } else if (!view_->test_and_clear_accessed(page)) {
        state.kind = Kind::cold;
        --hot_;
        ++cold_;
        return;
      }
    }
  }
  void demote_surplus() {
    while (hot_ + cold_target_ > capacity_ && hot_ > 0) run_hot_hand();
  }

  static std::uint64_t part(const PolicyConfig& config) {
    const double ratio = config.share == 0 ? 0.01 : config.share;
    return std::max<std::uint64_t>(1, config.part(ratio));
  }

  std::uint64_t capacity_, least_, cold_target_, hot_ = 0, cold_ = 0, gone_ = 0;
  PageView* view_;
  PageId hand_hot_ = kNoPage, hand_cold_ = kNoPage, hand_test_ = kNoPage;
  PageLinks links_;
  PageArray<State> states_;
};

FL_REGISTER_POLICY("clock-pro", Sees::accessed_bit, "Jiang, Chen and Zhang, USENIX ATC 2005",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<ClockPro>(config); });

}  // namespace
}  // namespace faultline::mm
