// 2Q: a page is new in A1in (FIFO); evicted from there it is remembered in A1out, and only a reference while it is remembered brings
// it into Am (LRU). Source: T. Johnson, D. Shasha, "2Q: a low overhead high performance buffer management replacement algorithm",
// VLDB 1994, the full version with Kin 25 % and Kout 50 % of the frames. It sees every reference.
#include <algorithm>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class TwoQueue final : public Policy {
 public:
  explicit TwoQueue(const PolicyConfig& config)
      : in_limit_(config.part(config.share == 0 ? 0.25 : config.share)),
        out_limit_(config.part(config.ghosts == 0 ? 0.5 : config.ghosts)),
        links_(config), in_(links_), out_(links_), main_(links_), places_(config, Place::nowhere) {}

  void on_miss(PageId page, const Moment&) override {
    links_.reach(page);
    if (places_.reach(page) != Place::out) return;
    out_.remove(page);  // now: the eviction that makes room for it must not push it out
    places_[page] = Place::returning;
  }
  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    Place& place = places_.reach(page);
    if (place == Place::out) out_.remove(page);
    const bool known = place == Place::out || place == Place::returning;
    place = known ? Place::main : Place::in;
    (known ? main_ : in_).push_newest(page);
  }
  void on_access(PageId page, const Moment&) override {
    if (places_[page] == Place::main) main_.move_to_newest(page);
  }
  void on_remove(PageId page, Removal why) override {
    const bool was_in = places_[page] == Place::in;
    (was_in ? in_ : main_).remove(page);
    places_[page] = Place::nowhere;
    if (!was_in || why == Removal::freed || out_limit_ == 0) return;
    out_.push_newest(page);
    places_[page] = Place::out;
    if (out_.size() > out_limit_) on_forget(out_.oldest());
  }
  void on_forget(PageId page) override {
    if (page >= places_.size()) return;
    if (places_[page] == Place::out) out_.remove(page);
    places_[page] = Place::nowhere;
  }
  PageId pick_victim() override { return in_.size() > in_limit_ || main_.empty() ? in_.oldest() : main_.oldest(); }
  void prefetch(std::span<const PageId> pages) const override {
    links_.prefetch(pages);
    places_.prefetch(pages);
  }
  void check_invariants() const override {
    in_.check_invariants();
    out_.check_invariants();
    main_.check_invariants();
    FL_ASSERT(out_.size() <= out_limit_);
  }

 private:
  enum class Place : std::uint8_t { nowhere, in, out, main, returning };

  std::uint64_t in_limit_, out_limit_;
  PageLinks links_;
  PageList in_, out_, main_;
  PageArray<Place> places_;
};

FL_REGISTER_POLICY("2q", Sees::every_access, "Johnson and Shasha, VLDB 1994 (full version)",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<TwoQueue>(config); });

}  // namespace
}  // namespace faultline::mm
