// Working set: a page stays while it was referenced within the last tau references of the program, however many frames that takes.
// Source: P. J. Denning, "The working set model for program behavior", CACM 11(5), 1968. tau is config.window, else as many references
// as there are frames. Where the frames run out, the least recently used page goes. It sees every reference.
#include "mm/reclaim/page_list.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

class WorkingSet final : public Policy {
 public:
  explicit WorkingSet(const PolicyConfig& config)
      : tau_(config.window == 0 ? config.capacity : config.window), links_(config), list_(links_), used_(config) {}

  void on_insert(PageId page, const Moment& now) override {
    links_.reach(page);
    used_.reach(page) = now.time;
    list_.push_newest(page);
  }
  void on_access(PageId page, const Moment& now) override {
    used_[page] = now.time;
    list_.move_to_newest(page);
  }
  void on_remove(PageId page, Removal) override { list_.remove(page); }
  PageId pick_victim() override { return list_.oldest(); }
  std::optional<PageId> pick_idle(const Moment& now) override {
    if (list_.empty() || now.time - used_[list_.oldest()] < tau_) return std::nullopt;
    return list_.oldest();
  }
  void prefetch(std::span<const PageId> pages) const override {
    links_.prefetch(pages);
    used_.prefetch(pages);
  }
  void check_invariants() const override { list_.check_invariants(); }

 private:
  std::uint64_t tau_;
  PageLinks links_;
  PageList list_;
  PageArray<std::uint64_t> used_;
};

FL_REGISTER_POLICY("ws", Sees::every_access, "Denning, CACM 11(5), 1968",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<WorkingSet>(config); }, true);

}  // namespace
}  // namespace faultline::mm
