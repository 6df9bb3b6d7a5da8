// CAR: ARC with clocks. T1 and T2 are clocks whose accessed bits are looked at by their hands only, B1 and B2 remember their evicted
// pages. Source: S. Bansal, D. S. Modha, "CAR: clock with adaptive replacement", FAST 2004, figure 2. It sees accessed bits at the hands.
#include <algorithm>

#include "base/assert.h"
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Car final : public Policy {
 public:
  explicit Car(const PolicyConfig& config)
      : capacity_(config.capacity), view_(config.view), links_(config), t1_(links_), t2_(links_), b1_(links_), b2_(links_),
        places_(config, Place::nowhere) {}

  // After the replacement, as in the paper: the directory is trimmed, then the target adapts.
  void on_insert(PageId page, const Moment&) override {
    links_.reach(page);
    const Place place = places_.reach(page);
    const auto b1 = static_cast<double>(b1_.size()), b2 = static_cast<double>(b2_.size());
    if (place == Place::b1) {
      target_ = std::min(target_ + std::max(1.0, b2 / b1), static_cast<double>(capacity_));
    } else if (place == Place::b2) {
      target_ = std::max(target_ - std::max(1.0, b1 / b2), 0.0);
    } else if (t1_.size() + b1_.size() >= capacity_) {
      on_forget(b1_.oldest());
    } else if (t1_.size() + t2_.size() + b1_.size() + b2_.size() >= 2 * capacity_) {
      on_forget(b2_.oldest());
    }
    on_forget(page);
    const bool known = place != Place::nowhere;
    places_[page] = known ? Place::t2 : Place::t1;
    (known ? t2_ : t1_).push_newest(page);
  }
  void on_remove(PageId page, Removal why) override {
    const bool first = places_[page] == Place::t1;
    (first ? t1_ : t2_).remove(page);
    places_[page] = Place::nowhere;
    if (why == Removal::freed) return;
    places_[page] = first ? Place::b1 : Place::b2;
    (first ? b1_ : b2_).push_newest(page);
  }
  void on_forget(PageId page) override {
    if (page >= places_.size()) return;
    if (places_[page] == Place::b1) b1_.remove(page);
    if (places_[page] == Place::b2) b2_.remove(page);
    places_[page] = Place::nowhere;
  }
  // replace(): what T1's hand finds accessed goes to T2, what T2's hand finds accessed gets another round.
  PageId pick_victim() override {
    for (;;) {
      const bool first = static_cast<double>(t1_.size()) >= std::max(1.0, target_) || t2_.empty();
      const PageId page = (first ? t1_ : t2_).oldest();
      if (!view_->test_and_clear_accessed(page)) return page;
      (first ? t1_ : t2_).remove(page);
      t2_.push_newest(page);
      places_[page] = Place::t2;
    }
  }
  void check_invariants() const override {
    for (const PageList* list : {&t1_, &t2_, &b1_, &b2_}) list->check_invariants();
    FL_ASSERT(t1_.size() + b1_.size() <= capacity_ && target_ >= 0 && target_ <= static_cast<double>(capacity_));
    FL_ASSERT(t1_.size() + t2_.size() + b1_.size() + b2_.size() <= 2 * capacity_);
  }

 private:
  enum class Place : std::uint8_t { nowhere, t1, t2, b1, b2 };

  std::uint64_t capacity_;
  double target_ = 0;  // p, of T1
  PageView* view_;
  PageLinks links_;
  PageList t1_, t2_, b1_, b2_;
  PageArray<Place> places_;
};

FL_REGISTER_POLICY("car", Sees::accessed_bit, "Bansal and Modha, FAST 2004",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Car>(config); });

}  // namespace
}  // namespace faultline::mm
