// FIFO: the page that came first goes first, used or not. Source: L. A. Belady, "A study of replacement algorithms for a
// virtual-storage computer", IBM Systems Journal 5(2), 1966; Belady's anomaly is its property.
#include "mm/reclaim/page_ring.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Fifo final : public Policy {
 public:
  explicit Fifo(const PolicyConfig& config) : queue_(config) {}

  void on_insert(PageId page, const Moment&) override { queue_.push_newest(page); }
  void on_remove(PageId page, Removal) override { queue_.remove(page); }
  PageId pick_victim() override { return queue_.oldest(); }
  void prefetch(std::span<const PageId> pages) const override { queue_.prefetch(pages); }
  void check_invariants() const override { queue_.check_invariants(); }

 private:
  PageRing queue_;
};

FL_REGISTER_POLICY("fifo", Sees::fault_only, "Belady, IBM Systems Journal 5(2), 1966",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Fifo>(config); });

}  // namespace
}  // namespace faultline::mm
