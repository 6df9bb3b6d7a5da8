// OPT (MIN): the page whose next reference is furthest away: no policy of fixed size has fewer faults. Source: L. A. Belady, "A study
// of replacement algorithms for a virtual-storage computer", IBM Systems Journal 5(2), 1966; Mattson et al. 1970 for the proof. It sees
// the future.
#include "mm/reclaim/next_use_heap.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Opt final : public Policy {
 public:
  explicit Opt(const PolicyConfig& config) : heap_(config) {}

  void on_insert(PageId page, const Moment& now) override { heap_.insert(page, now.next_use); }
  void on_access(PageId page, const Moment& now) override { heap_.defer(page, now.next_use); }
  void on_remove(PageId page, Removal) override { heap_.remove(page); }
  PageId pick_victim() override { return heap_.furthest(); }
  void prefetch(std::span<const PageId> pages) const override { heap_.prefetch(pages); }
  void check_invariants() const override { heap_.check_invariants(); }

 private:
  NextUseHeap heap_;
};

FL_REGISTER_POLICY("opt", Sees::future, "Belady, IBM Systems Journal 5(2), 1966",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Opt>(config); });

}  // namespace
}  // namespace faultline::mm
