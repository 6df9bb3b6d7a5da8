// Linux' classic page replacement: four lists, accessed bits looked at when a page comes to the end of one, batches of 32.
// Source: mm/vmscan.c of Linux 6.18 (CONFIG_LRU_GEN off): do_try_to_free_pages(), get_scan_count(), shrink_lruvec(),
// shrink_inactive_list(), shrink_active_list(), folio_check_references(); mm/workingset.c.
#include <algorithm>
#include <array>
#include <deque>
#include <span>

#include "mm/reclaim/lru_lists.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {
namespace {

constexpr std::uint64_t kBatch = 32;        // SWAP_CLUSTER_MAX
constexpr unsigned kDefaultPriority = 12;   // DEF_PRIORITY: the first look is at 1/4096 of a list
constexpr unsigned kMaxSwappiness = 200;

using Counts = std::array<std::uint64_t, kLrus>;
constexpr std::size_t at(Lru lru) { return static_cast<std::size_t>(lru); }

class LinuxTwoList final : public Policy {
 public:
  explicit LinuxTwoList(const PolicyConfig& config) : config_(config), view_(*config.view), lists_(config.pages) {
    if (config.stale_statistics) lists_.keep_statistics();
  }

  void on_insert(PageId page, const Moment&) override { lists_.insert(page, view_.kind(page), can_swap_, view_.pages(page)); }
  void on_remove(PageId page, Removal why) override { why == Removal::evicted ? lists_.evict(page) : lists_.forget(page); }
  void on_forget(PageId page) override { lists_.forget(page); }
  void on_mark_accessed(PageId page) override { lists_.mark_accessed(page); }
  // folio_rotate_reclaimable(), lru_move_tail(): what was written goes first, active or not.
  void on_written(PageId page) override {
    if (!lists_.listed(page) || lists_.waiting(page)) return;
    if (is_active(lists_.lru(page))) lists_.move(page, lru_of(kind_of(lists_.lru(page)), false));
    lists_.move_to_oldest(page);
  }
  bool in_working_set(PageId page) const override { return lists_.in_working_set(page); }
  void drain() override { lists_.drain(); }
  void prefetch(std::span<const PageId> pages) const override {
    for (const PageId page : pages) lists_.prefetch(page);
  }
  void on_statistics() override { lists_.publish(); }
  std::uint64_t reclaim(std::uint64_t pages, Evictor& evictor) override;
  PageId pick_victim() override;
  void check_invariants() const override { lists_.check_invariants(); }

 private:
  // One call of reclaim: struct scan_control.
  struct Scan {
    Evictor& evictor;
    std::uint64_t target;
    unsigned priority = kDefaultPriority;
    bool force_deactivate = false;
    bool skipped_deactivate = false;
    std::array<bool, 2> may_deactivate{};
    std::uint64_t freed = 0;
  };

  void shrink(Scan& scan);
  Counts scan_counts(Scan& scan) const;
  std::uint64_t shrink_list(Scan& scan, Lru lru, std::uint64_t pages);
  std::uint64_t shrink_inactive(Scan& scan, PageKind kind, std::uint64_t pages);
  void shrink_active(PageKind kind, std::uint64_t pages);
  void prefetch_oldest(Lru lru, std::uint64_t pages) const;
  enum class Look : std::uint8_t { reclaim, keep, activate };
  Look look_at(PageId page, PageKind kind);

  PolicyConfig config_;
  PageView& view_;
  LruLists lists_;
  std::array<std::uint64_t, 2> activations_seen_{};  // lruvec->refaults
  bool can_swap_ = true;
  std::deque<PageId> picked_;
};

std::uint64_t LinuxTwoList::reclaim(std::uint64_t pages, Evictor& evictor) {
  can_swap_ = evictor.can_swap();
  for (Scan scan{.evictor = evictor, .target = std::max(pages, kBatch)};;) {
    for (unsigned priority = kDefaultPriority + 1; priority-- > 0 && scan.freed < scan.target;) {
      scan.priority = priority;
      shrink(scan);
    }
    for (const PageKind kind : {PageKind::anonymous, PageKind::file}) {
      activations_seen_[static_cast<std::size_t>(kind)] = lists_.activations(kind);  // snapshot_refaults()
    }
    if (scan.freed > 0 || scan.force_deactivate || !scan.skipped_deactivate) return scan.freed;
    scan.force_deactivate = true;
  }
}

// get_scan_count(): how much of each list to look at, by what the kinds cost lately.
Counts LinuxTwoList::scan_counts(Scan& scan) const {
  const bool trim_cache = (lists_.known_size(Lru::inactive_file) >> scan.priority) != 0 && !scan.may_deactivate[1];
  const bool only_files = !can_swap_ || config_.swappiness == 0 || (trim_cache && scan.priority != 0);
  std::uint64_t anon_cost = lists_.cost(PageKind::anonymous);
  std::uint64_t file_cost = lists_.cost(PageKind::file);
  const std::uint64_t sum = anon_cost + file_cost;
  anon_cost += sum;
  file_cost += sum;
  const std::uint64_t both = anon_cost + file_cost;
  const std::uint64_t anon_share = config_.swappiness * (both + 1) / (anon_cost + 1);
  const std::uint64_t file_share = (kMaxSwappiness - config_.swappiness) * (both + 1) / (file_cost + 1);
  Counts counts{};
  for (std::size_t i = 0; i < kLrus; ++i) {
    const Lru lru = static_cast<Lru>(i);
    const bool file = kind_of(lru) == PageKind::file;
    const std::uint64_t look = lists_.size(lru) >> scan.priority;
    if (only_files) {
      counts[i] = file ? look : 0;
    } else if (scan.priority == 0) {
      counts[i] = look;
    } else {
      counts[i] = look * (file ? file_share : anon_share) / (anon_share + file_share);
    }
  }
  return counts;
}

void LinuxTwoList::shrink(Scan& scan) {
  for (const PageKind kind : {PageKind::anonymous, PageKind::file}) {
    const auto i = static_cast<std::size_t>(kind);
    scan.may_deactivate[i] = scan.force_deactivate || lists_.activations(kind) != activations_seen_[i] || lists_.inactive_is_low(kind);
  }
  Counts left = scan_counts(scan);
  const Counts wanted = left;
  std::uint64_t freed = 0;
  scan.evictor.plug();
  while (left[at(Lru::inactive_anon)] + left[at(Lru::active_file)] + left[at(Lru::inactive_file)] > 0) {
    for (std::size_t i = 0; i < kLrus; ++i) {
      const std::uint64_t pages = std::min(left[i], kBatch);
      if (pages == 0) continue;
      left[i] -= pages;
      freed += shrink_list(scan, static_cast<Lru>(i), pages);
    }
    if (freed < scan.target) continue;
    // Enough: the kind with less left is done, the other is looked at in the same proportion.
    const std::uint64_t anon = left[at(Lru::inactive_anon)] + left[at(Lru::active_anon)];
    const std::uint64_t file = left[at(Lru::inactive_file)] + left[at(Lru::active_file)];
    if (anon == 0 || file == 0) break;
    const PageKind smaller = file > anon ? PageKind::anonymous : PageKind::file;
    const PageKind larger = file > anon ? PageKind::file : PageKind::anonymous;
    const std::uint64_t done = wanted[at(lru_of(smaller, false))] + wanted[at(lru_of(smaller, true))] + 1;
    const std::uint64_t percent = std::min(anon, file) * 100 / done;
    for (const bool active : {false, true}) {
      left[at(lru_of(smaller, active))] = 0;
      const std::size_t i = at(lru_of(larger, active));
      const std::uint64_t looked_at = wanted[i] - left[i];
      const std::uint64_t due = wanted[i] * (100 - percent) / 100;
      left[i] = due - std::min(due, looked_at);
    }
  }
  scan.evictor.unplug();
  scan.freed += freed;
  if (can_swap_ && lists_.inactive_is_low(PageKind::anonymous)) shrink_active(PageKind::anonymous, kBatch);
}

std::uint64_t LinuxTwoList::shrink_list(Scan& scan, Lru lru, std::uint64_t pages) {
  if (!is_active(lru)) return shrink_inactive(scan, kind_of(lru), pages);
  if (scan.may_deactivate[static_cast<std::size_t>(kind_of(lru))]) {
    shrink_active(kind_of(lru), pages);
  } else {
    scan.skipped_deactivate = true;
  }
  return 0;
}

// folio_check_references(). A page is mapped young, so that the first look always finds the bit: it takes a second round without
// one to lose the page.
LinuxTwoList::Look LinuxTwoList::look_at(PageId page, PageKind kind) {
  const unsigned entries = view_.accessed_entries(page);
  const bool referenced = lists_.test_and_clear_referenced(page);
  if (entries == 0) return referenced && kind == PageKind::file && view_.dirty(page) ? Look::keep : Look::reclaim;
  lists_.set_referenced(page);
  return referenced || entries > 1 || (kind == PageKind::file && view_.executable(page)) ? Look::activate : Look::keep;
}

std::uint64_t LinuxTwoList::shrink_inactive(Scan& scan, PageKind kind, std::uint64_t pages) {
  const Lru inactive = lru_of(kind, false);
  const Lru active = lru_of(kind, true);
  scan.evictor.settle();
  lists_.drain();
  const std::uint64_t looks = std::min(pages, lists_.size(inactive));
  prefetch_oldest(inactive, looks);
  std::uint64_t freed = 0, written = 0;
  std::uint64_t looked_at = 0;
  while (looked_at < looks && lists_.size(inactive) > 0) {
    const PageId page = lists_.oldest(inactive);
    const std::uint64_t pages_of_folio = lists_.pages(page);
    looked_at += pages_of_folio;
    if (scan.evictor.reading(page)) {
      lists_.move(page, inactive);
      continue;
    }
    if (view_.locked(page)) {
      lists_.move(page, active);
      continue;
    }
    if (scan.evictor.writing(page)) {
      if (!scan.evictor.claim_written(page) || !config_.group_waits) {
        lists_.move(page, active);
        continue;
      }
      scan.evictor.wait_written(page);
    }
    if (const Look look = look_at(page, kind); look != Look::reclaim) {
      lists_.move(page, look == Look::activate ? active : inactive);
      continue;
    }
    switch (scan.evictor.evict(page)) {
      case Eviction::freed:
        freed += pages_of_folio;
        if (lists_.listed(page)) lists_.move(page, inactive);  // only picked: pick_victim()
        break;
      case Eviction::writing:
        written += pages_of_folio;
        lists_.move(page, kind == PageKind::file ? active : inactive);
        break;
      case Eviction::kept: lists_.move(page, active); break;
    }
  }
  lists_.note_cost(kind, written, looked_at - freed);
  return freed;
}

void LinuxTwoList::prefetch_oldest(Lru lru, std::uint64_t pages) const {
  std::array<PageId, kBatch> oldest;
  std::size_t found = 0;
  lists_.for_oldest(lru, std::min<std::uint64_t>(pages, oldest.size()), [&](PageId page) {
    oldest[found++] = page;
    lists_.prefetch(page);
  });
  view_.prefetch(std::span(oldest).first(found));
}

// Accessed or not, they go to the inactive list; only code that ran stays.
void LinuxTwoList::shrink_active(PageKind kind, std::uint64_t pages) {
  const Lru active = lru_of(kind, true);
  lists_.drain();
  const std::uint64_t looks = std::min(pages, lists_.size(active));
  prefetch_oldest(active, looks);
  std::uint64_t rotated = 0;
  std::uint64_t looked_at = 0;
  while (looked_at < looks && lists_.size(active) > 0) {
    const PageId page = lists_.oldest(active);
    looked_at += lists_.pages(page);
    const bool accessed = view_.accessed_entries(page) > 0;
    if (accessed && kind == PageKind::file && view_.executable(page)) {
      lists_.move(page, active);
      rotated += lists_.pages(page);
      continue;
    }
    lists_.set_working_set(page);
    lists_.move(page, lru_of(kind, false));
  }
  if (rotated > 0) lists_.note_cost(kind, 0, rotated);
}

// For a stream without a machine: the pages one batch would free, one after the other.
PageId LinuxTwoList::pick_victim() {
  struct Picker final : Evictor {
    explicit Picker(std::deque<PageId>& to) : picked(to) {}
    Eviction evict(PageId page) override {
      picked.push_back(page);
      return Eviction::freed;
    }
    Eviction evict_now(PageId page) override { return evict(page); }
    bool writing(PageId) const override { return false; }
    void wait_written(PageId) override {}
    bool can_swap() const override { return true; }
    std::deque<PageId>& picked;
  };
  while (!picked_.empty()) {
    const PageId page = picked_.front();
    picked_.pop_front();
    if (lists_.listed(page)) return page;
  }
  Picker picker(picked_);
  lists_.drain();
  while (picked_.empty()) reclaim(1, picker);
  const PageId page = picked_.front();
  picked_.pop_front();
  return page;
}

FL_REGISTER_POLICY("linux", Sees::accessed_bit, "mm/vmscan.c and mm/workingset.c, Linux 6.18, without MGLRU",
                   [](const PolicyConfig& config) -> std::unique_ptr<Policy> { return std::make_unique<LinuxTwoList>(config); });

}  // namespace
}  // namespace faultline::mm
