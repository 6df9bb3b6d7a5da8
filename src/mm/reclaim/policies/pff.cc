// PFF, page fault frequency: only faults change the resident set. A fault within T references of the last one adds a page; a later one
// first drops all pages not referenced since the last. Source: W. W. Chu, H. Opderbeck, "The page fault frequency replacement
// algorithm", AFIPS FJCC 1972. T is config.window, else as many references as there are frames. Use bits cleared at each fault are
// enough for it; here the order of last uses answers the same question without a pass over all pages, so it sees every reference.
#include "mm/reclaim/last_uses.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class PageFaultFrequency final : public Policy {
 public:
  explicit PageFaultFrequency(const PolicyConfig& config)
      : interval_(config.window == 0 ? config.capacity : config.window), uses_(config) {}

  void on_miss(PageId, const Moment& now) override {
    if (now.time - last_fault_ >= interval_) keep_since_ = last_fault_;
    last_fault_ = now.time;
  }
  void on_insert(PageId page, const Moment& now) override { uses_.add(page, now.time); }
  void on_access(PageId page, const Moment& now) override { uses_.use(page, now.time); }
  void on_remove(PageId page, Removal) override { uses_.remove(page); }
  PageId pick_victim() override { return uses_.oldest(); }
  std::optional<PageId> pick_idle(const Moment&) override {
    if (uses_.empty() || uses_.oldest_use() >= keep_since_) return std::nullopt;
    return uses_.oldest();
  }
  void prefetch(std::span<const PageId> pages) const override { uses_.prefetch(pages); }
  void check_invariants() const override { uses_.check_invariants(); }

 private:
  std::uint64_t interval_, last_fault_ = 0, keep_since_ = 0;
  LastUses uses_;
};

FL_REGISTER_POLICY("pff", Sees::every_access, "Chu and Opderbeck, AFIPS FJCC 1972",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<PageFaultFrequency>(config); },
                   true);

}  // namespace
}  // namespace faultline::mm
