// LIRS: what counts is the distance between a page's last two references, not the time since the last. LIR pages (99 % of the frames)
// have a small one; the others (HIR) pass through a short queue Q, and a HIR page referenced while it is still on the stack S, resident
// or not, trades places with the LIR page at the bottom. Source: S. Jiang, X. Zhang, "LIRS: an efficient low inter-reference recency
// set replacement policy", SIGMETRICS 2002, with Lhirs 1 %. The paper bounds S by nothing; config.ghosts does. It sees every reference.
#include <algorithm>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Lirs final : public Policy {
 public:
  explicit Lirs(const PolicyConfig& config)
      : ghost_limit_(config.ghosts == 0 ? ~std::uint64_t{0} : config.part(config.ghosts)),
        stack_links_(config), queue_links_(config), stack_(stack_links_), queue_(queue_links_), gone_(queue_links_),
        states_(config) {
    const std::uint64_t hirs = std::max<std::uint64_t>(1, config.part(config.share == 0 ? 0.01 : config.share));
    lir_limit_ = config.capacity - std::min(config.capacity, hirs);
  }

  // A page evicted for it must not drop it from the stack, so it leaves the list of those gone now.
  void on_miss(PageId page, const Moment&) override {
    if (page < states_.size() && states_[page].status == Status::gone) come_back(page);
  }
  void on_insert(PageId page, const Moment&) override {
    stack_links_.reach(page);
    queue_links_.reach(page);
    State& state = states_.reach(page);
    if (state.status == Status::gone) come_back(page);
    const bool recent = state.on_stack;
    to_top(page);
    if (recent || lir_count_ < lir_limit_) {
      make_lir(page);
    } else {
      state.status = Status::hir;
      queue_.push_newest(page);
    }
    prune();
  }
  void on_access(PageId page, const Moment&) override {
    State& state = states_[page];
    const bool recent = state.on_stack;
    to_top(page);
    if (state.status == Status::hir) {
      queue_.remove(page);
      if (recent) {
        make_lir(page);
      } else {
        queue_.push_newest(page);
      }
    }
    prune();
  }
  void on_remove(PageId page, Removal why) override {
    State& state = states_[page];
    if (state.status == Status::hir) queue_.remove(page);
    const bool stays = state.status == Status::hir && state.on_stack && why == Removal::evicted;
    if (state.status == Status::lir) --lir_count_;
    state.status = stays ? Status::gone : Status::nowhere;
    if (stays) {
      gone_.push_newest(page);
      while (gone_.size() > ghost_limit_) on_forget(gone_.oldest());
    } else if (state.on_stack) {
      leave_stack(page);
    }
    prune();
  }
  void on_forget(PageId page) override {
    if (page >= states_.size()) return;
    if (states_[page].status == Status::gone) come_back(page);
    if (states_[page].on_stack) leave_stack(page);
    prune();
  }
  // The front of Q; without any, after pages were freed, the coldest LIR page.
  PageId pick_victim() override { return queue_.empty() ? stack_.oldest() : queue_.oldest(); }
  void prefetch(std::span<const PageId> pages) const override {
    stack_links_.prefetch(pages);
    states_.prefetch(pages);
  }
  void check_invariants() const override {
    for (const PageList* list : {&stack_, &queue_, &gone_}) list->check_invariants();
    FL_ASSERT(lir_count_ <= lir_limit_ && (stack_.empty() || states_[stack_.oldest()].status == Status::lir));
  }

 private:
  enum class Status : std::uint8_t { nowhere, lir, hir, gone };  // gone: HIR, not resident, on the stack
  struct State {
    Status status = Status::nowhere;
    bool on_stack = false;
  };
  void come_back(PageId page) {
    gone_.remove(page);
    states_[page].status = Status::nowhere;
  }
  void leave_stack(PageId page) {
    stack_.remove(page);
    states_[page].on_stack = false;
  }
  void to_top(PageId page) {
    if (states_[page].on_stack) return stack_.move_to_newest(page);
    stack_.push_newest(page);
    states_[page].on_stack = true;
  }
  void make_lir(PageId page) {
    states_[page].status = Status::lir;
    if (++lir_count_ <= lir_limit_) return;
    prune();
    const PageId bottom = stack_.oldest();
    states_[bottom].status = Status::hir;
    --lir_count_;
    leave_stack(bottom);
    queue_.push_newest(bottom);
  }
  // The bottom of the stack is a LIR page: below it recency tells nothing.
  void prune() {
    while (!stack_.empty() && states_[stack_.oldest()].status != Status::lir) {
      const PageId page = stack_.oldest();
      if (states_[page].status == Status::gone) come_back(page);
      leave_stack(page);
    }
  }

  std::uint64_t lir_limit_ = 0, lir_count_ = 0, ghost_limit_;
  PageLinks stack_links_, queue_links_;
  PageList stack_, queue_, gone_;  // gone_: not resident, oldest eviction first; never in queue_ as well
  PageArray<State> states_;
};

FL_REGISTER_POLICY("lirs", Sees::every_access, "Jiang and Zhang, SIGMETRICS 2002",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Lirs>(config); });

}  // namespace
}  // namespace faultline::mm
