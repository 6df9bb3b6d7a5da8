// LRU: the page whose last reference is longest ago. Source: R. L. Mattson, J. Gecsei, D. R. Slutz, I. L. Traiger, "Evaluation
// techniques for storage hierarchies", IBM Systems Journal 9(2), 1970, which shows that it is a stack algorithm. It sees every
// reference: no kernel can run it.
#include "mm/reclaim/page_ring.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class Lru final : public Policy {
 public:
  explicit Lru(const PolicyConfig& config) : ring_(config) {}

  void on_insert(PageId page, const Moment&) override { ring_.push_newest(page); }
  void on_access(PageId page, const Moment&) override { ring_.move_to_newest(page); }
  void on_remove(PageId page, Removal) override { ring_.remove(page); }
  PageId pick_victim() override { return ring_.oldest(); }
  void prefetch(std::span<const PageId> pages) const override { ring_.prefetch(pages); }
  void check_invariants() const override { ring_.check_invariants(); }

 private:
  PageRing ring_;
};

FL_REGISTER_POLICY("lru", Sees::every_access, "Mattson et al., IBM Systems Journal 9(2), 1970",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<Lru>(config); });

}  // namespace
}  // namespace faultline::mm
