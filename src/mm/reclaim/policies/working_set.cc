// Working set: a page stays while it was referenced within the last tau references of the program, however many frames that takes.
// Source: P. J. Denning, "The working set model for program behavior", CACM 11(5), 1968. tau is config.window, else as many references
// as there are frames. Where the frames run out, the least recently used page goes. It sees every reference.
#include "mm/reclaim/last_uses.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class WorkingSet final : public Policy {
 public:
  explicit WorkingSet(const PolicyConfig& config)
      : tau_(config.window == 0 ? config.capacity : config.window), uses_(config) {}

  void on_insert(PageId page, const Moment& now) override { uses_.add(page, now.time); }
  void on_access(PageId page, const Moment& now) override { uses_.use(page, now.time); }
  void on_remove(PageId page, Removal) override { uses_.remove(page); }
  PageId pick_victim() override { return uses_.oldest(); }
  std::optional<PageId> pick_idle(const Moment& now) override {
    if (uses_.empty() || now.time - uses_.oldest_use() < tau_) return std::nullopt;
    return uses_.oldest();
  }
  void prefetch(std::span<const PageId> pages) const override { uses_.prefetch(pages); }
  void check_invariants() const override { uses_.check_invariants(); }

 private:
  std::uint64_t tau_;
  LastUses uses_;
};

FL_REGISTER_POLICY("ws", Sees::every_access, "Denning, CACM 11(5), 1968",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<WorkingSet>(config); }, true);

}  // namespace
}  // namespace faultline::mm
