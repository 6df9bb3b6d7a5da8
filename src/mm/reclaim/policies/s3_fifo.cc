// S3-FIFO: a small FIFO (10 %) tries newcomers, a main FIFO with two-bit counters keeps those referenced more than once there, and
// those sent away are remembered (as many as the main FIFO holds) and come back into it. Source, and the version pinned: J. Yang et
// al., "FIFO queues are all you need for cache eviction", SOSP 2023, algorithm 1 (later code under the same name sends newcomers to
// the main queue while the cache fills; this does not). It sees every reference: it counts two of them.
#include <algorithm>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class S3Fifo final : public Policy {
 public:
  explicit S3Fifo(const PolicyConfig& config)
      : small_limit_(std::max<std::uint64_t>(1, config.part(config.share == 0 ? 0.1 : config.share))),
        main_limit_(config.capacity - std::min(config.capacity, small_limit_)),
        ghost_limit_(config.ghosts == 0 ? main_limit_ : config.part(config.ghosts)),
        links_(config), small_(links_), main_(links_), ghosts_(links_), states_(config) {}

  void on_miss(PageId page, const Moment&) override {
    links_.reach(page);
    if (states_.reach(page).place != Place::ghost) return;
    on_forget(page);  // now: the eviction that makes room for it must not push it out
    states_[page].place = Place::returning;
  }
  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    const bool known = states_.reach(page).place != Place::nowhere;
    on_forget(page);
    states_[page] = {known ? Place::main : Place::small, 0};
    (known ? main_ : small_).push_newest(page);
  }
  void on_access(PageId page, const Moment&) override {
    State& state = states_[page];
    state.count = std::min<std::uint8_t>(static_cast<std::uint8_t>(state.count + 1), 3);
  }
  void on_remove(PageId page, Removal why) override {
    const bool small = states_[page].place == Place::small;
    (small ? small_ : main_).remove(page);
    states_[page] = {};
    if (!small || why == Removal::freed || ghost_limit_ == 0) return;
    ghosts_.push_newest(page);
    states_[page].place = Place::ghost;
    if (ghosts_.size() > ghost_limit_) on_forget(ghosts_.oldest());
  }
  void on_forget(PageId page) override {
    if (page >= states_.size()) return;
    if (states_[page].place == Place::ghost) ghosts_.remove(page);
    states_[page] = {};
  }
  PageId pick_victim() override { return small_.size() >= small_limit_ || main_.empty() ? from_small() : from_main(); }
  void prefetch(std::span<const PageId> pages) const override { states_.prefetch(pages); }
  void check_invariants() const override {
    for (const PageList* list : {&small_, &main_, &ghosts_}) list->check_invariants();
    FL_ASSERT(ghosts_.size() <= ghost_limit_);
  }

 private:
  enum class Place : std::uint8_t { nowhere, small, main, ghost, returning };
  struct State {
    Place place = Place::nowhere;
    std::uint8_t count = 0;
  };
  // EVICTS. Where a page moved up makes the main queue too long, the paper evicts from there and goes on; one frame is enough here.
  PageId from_small() {
    while (!small_.empty()) {
      const PageId page = small_.oldest();
      if (states_[page].count <= 1) return page;
      small_.remove(page);
      main_.push_newest(page);
      states_[page] = {Place::main, 0};
      if (main_.size() > main_limit_) break;
    }
    return from_main();
  }
  // EVICTM
  PageId from_main() {
    for (;; main_.move_to_newest(main_.oldest())) {
      State& state = states_[main_.oldest()];
      if (state.count == 0) return main_.oldest();
      --state.count;
    }
  }

  std::uint64_t small_limit_, main_limit_, ghost_limit_;
  PageLinks links_;
  PageList small_, main_, ghosts_;
  PageArray<State> states_;
};

FL_REGISTER_POLICY("s3-fifo", Sees::every_access, "Yang et al., SOSP 2023, algorithm 1",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<S3Fifo>(config); });

}  // namespace
}  // namespace faultline::mm
