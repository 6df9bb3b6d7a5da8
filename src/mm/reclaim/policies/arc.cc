// ARC: pages referenced once since they came (T1) and more often (T2), each with the pages lately evicted from it (B1, B2); a miss on
// a remembered page moves the target size of T1 towards the list that would have kept it. Source: N. Megiddo, D. S. Modha, "ARC: a
// self-tuning, low overhead replacement cache", FAST 2003, figure 4. It sees every reference.
#include <algorithm>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Arc final : public Policy {
 public:
  explicit Arc(const PolicyConfig& config)
      : capacity_(config.capacity), links_(config), t1_(links_), t2_(links_), b1_(links_), b2_(links_),
        places_(config, Place::nowhere) {}

  // Cases II, III and IV, but for REPLACE itself.
  void on_miss(PageId page, const Moment&) override {
    links_.reach(page);
    const Place place = places_.reach(page);
    from_b2_ = place == Place::b2;
    drop_t1_ = false;
    const auto b1 = static_cast<double>(b1_.size()), b2 = static_cast<double>(b2_.size());
    if (place == Place::b1) {
      target_ = std::min(target_ + std::max(1.0, b2 / b1), static_cast<double>(capacity_));
      leave_ghosts(page, Place::returning);
    } else if (place == Place::b2) {
      target_ = std::max(target_ - std::max(1.0, b1 / b2), 0.0);
      leave_ghosts(page, Place::returning);
    } else if (t1_.size() + b1_.size() >= capacity_) {
      if (b1_.empty()) drop_t1_ = true;
      else leave_ghosts(b1_.oldest(), Place::nowhere);
    } else if (t1_.size() + t2_.size() + b1_.size() + b2_.size() >= 2 * capacity_) {
      leave_ghosts(b2_.oldest(), Place::nowhere);
    }
  }
  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    const bool known = places_.reach(page) != Place::nowhere;
    if (known) leave_ghosts(page, Place::nowhere);
    // A page read ahead had no miss, and still takes a place in the directory.
    else if (t1_.size() + b1_.size() >= capacity_ && !b1_.empty()) leave_ghosts(b1_.oldest(), Place::nowhere);
    places_[page] = known ? Place::t2 : Place::t1;
    (known ? t2_ : t1_).push_newest(page);
    from_b2_ = drop_t1_ = false;
  }
  void on_access(PageId page, const Moment&) override {
    if (places_[page] == Place::t2) return t2_.move_to_newest(page);
    t1_.remove(page);
    t2_.push_newest(page);
    places_[page] = Place::t2;
  }
  void on_remove(PageId page, Removal why) override {
    const bool first = places_[page] == Place::t1;
    (first ? t1_ : t2_).remove(page);
    places_[page] = Place::nowhere;
    if (why == Removal::freed || (first && drop_t1_)) return;
    places_[page] = first ? Place::b1 : Place::b2;
    (first ? b1_ : b2_).push_newest(page);
  }
  void on_forget(PageId page) override {
    if (page < places_.size()) leave_ghosts(page, Place::nowhere);
  }
  // REPLACE
  PageId pick_victim() override {
    const auto t1 = static_cast<double>(t1_.size());
    const bool first = drop_t1_ || t2_.empty() || (!t1_.empty() && (t1 > target_ || (from_b2_ && t1 == target_)));
    return (first ? t1_ : t2_).oldest();
  }
  void prefetch(std::span<const PageId> pages) const override {
    links_.prefetch(pages);
    places_.prefetch(pages);
  }
  void check_invariants() const override {
    for (const PageList* list : {&t1_, &t2_, &b1_, &b2_}) list->check_invariants();
    FL_ASSERT(t1_.size() + b1_.size() <= capacity_ && target_ >= 0 && target_ <= static_cast<double>(capacity_));
    FL_ASSERT(t1_.size() + t2_.size() + b1_.size() + b2_.size() <= 2 * capacity_);
  }

 private:
  enum class Place : std::uint8_t { nowhere, t1, t2, b1, b2, returning };
  void leave_ghosts(PageId page, Place now) {
    if (places_[page] == Place::b1) b1_.remove(page);
    if (places_[page] == Place::b2) b2_.remove(page);
    places_[page] = now;
  }

  std::uint64_t capacity_;
  double target_ = 0;  // p, of T1
  bool from_b2_ = false, drop_t1_ = false;  // of the miss being served
  PageLinks links_;
  PageList t1_, t2_, b1_, b2_;
  PageArray<Place> places_;
};

FL_REGISTER_POLICY("arc", Sees::every_access, "Megiddo and Modha, FAST 2003",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Arc>(config); });

}  // namespace
}  // namespace faultline::mm
