// VMIN: a page is kept after a reference only if it is referenced again within tau references. As many faults as the working set
// with the same tau, in the least memory any policy needs for them. Source: B. G. Prieve, R. S. Fabry, "VMIN: an optimal variable-space
// page replacement algorithm", CACM 19(5), 1976. tau is config.window, else as many references as there are frames. Where the frames
// run out, the page referenced again last goes. It sees the future.
#include "mm/reclaim/next_use_heap.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Vmin final : public Policy {
 public:
  explicit Vmin(const PolicyConfig& config) : tau_(config.window == 0 ? config.capacity : config.window), heap_(config) {}

  void on_insert(PageId page, const Moment& now) override {
    heap_.insert(page, now.next_use);
    consider(page, now);
  }
  void on_access(PageId page, const Moment& now) override {
    heap_.defer(page, now.next_use);
    consider(page, now);
  }
  void on_remove(PageId page, Removal) override {
    heap_.remove(page);
    if (idle_ == page) idle_.reset();
  }
  PageId pick_victim() override { return heap_.furthest(); }
  std::optional<PageId> pick_idle(const Moment&) override { return idle_; }
  void prefetch(std::span<const PageId> pages) const override { heap_.prefetch(pages); }
  void check_invariants() const override { heap_.check_invariants(); }

 private:
  void consider(PageId page, const Moment& now) {
    if (now.next_use == kNever || now.next_use - now.time > tau_) idle_ = page;
  }

  std::uint64_t tau_;
  NextUseHeap heap_;
  std::optional<PageId> idle_;  // only the page just referenced can be
};

FL_REGISTER_POLICY("vmin", Sees::future, "Prieve and Fabry, CACM 19(5), 1976",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Vmin>(config); }, true);

}  // namespace
}  // namespace faultline::mm
