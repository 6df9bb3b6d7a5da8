// Random: any resident page, each as likely. Source: L. A. Belady, "A study of replacement algorithms for a virtual-storage
// computer", IBM Systems Journal 5(2), 1966 (RAND). It sees insertions and removals only; its lots come from the seed.
#include <vector>

#include "base/assert.h"
#include "mm/reclaim/page_array.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Random final : public Policy {
 public:
  explicit Random(const PolicyConfig& config) : state_(config.seed), slots_(config, kNoPage) {}

  void on_insert(PageId page, const Moment&) override {
    slots_.reach(page) = static_cast<PageId>(resident_.size());
    resident_.push_back(page);
  }
  void on_remove(PageId page, Removal) override {
    const PageId slot = slots_[page];
    resident_[slot] = resident_.back();
    slots_[resident_[slot]] = slot;
    resident_.pop_back();
    slots_[page] = kNoPage;
  }
  PageId pick_victim() override { return resident_[static_cast<std::size_t>((draw() >> 32) * resident_.size() >> 32)]; }
  void check_invariants() const override {
    for (std::size_t slot = 0; slot < resident_.size(); ++slot) FL_ASSERT(slots_[resident_[slot]] == slot);
  }

 private:
  // SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
  std::uint64_t draw() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::uint64_t state_;
  std::vector<PageId> resident_;
  PageArray<PageId> slots_;  // where in resident_
};

FL_REGISTER_POLICY("random", Sees::fault_only, "Belady, IBM Systems Journal 5(2), 1966",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Random>(config); });

}  // namespace
}  // namespace faultline::mm
