#include "mm/reclaim/lru_lists.h"

#include <cmath>

#include "base/assert.h"

namespace faultline::mm {

namespace {
constexpr std::uint64_t kClusterMax = 32;        // SWAP_CLUSTER_MAX
constexpr std::uint64_t kGiBPages = 1u << 18;
constexpr std::size_t kBatchPages = 31;          // PAGEVEC_SIZE
}  // namespace

// workingset_refault(): a page that would still be here if the active list had been that much smaller is active at once.
bool LruLists::insert(PageId page, PageKind kind, bool swap, std::uint64_t pages) {
  State& state = states_.reach(page);
  FL_ASSERT(!state.listed);
  bool active = false;
  if (state.evicted_at != kNever) {
    std::uint64_t working_set = known_size(Lru::active_file);
    if (kind == PageKind::anonymous) working_set += known_size(Lru::inactive_file);
    if (swap) working_set += known_size(Lru::active_anon) + (kind == PageKind::file ? known_size(Lru::inactive_anon) : 0);
    active = age_ - state.evicted_at <= working_set;
    if (active) {
      age_ += pages;
      activations_[static_cast<std::size_t>(kind)] += pages;
      if (state.working_set) note_cost(kind, pages, 0);
    } else {
      state.working_set = false;
    }
  }
  state.evicted_at = kNever;
  state.referenced = false;
  state.listed = true;
  state.lru = lru_of(kind, active);
  state.pages = static_cast<std::uint32_t>(pages);
  state.waiting = true;
  batch_.push_back(page);
  if (batch_.size() == kBatchPages || pages > 1) drain();
  return active;
}

void LruLists::drain() {
  for (const PageId page : batch_) put(page);
  batch_.clear();
}

void LruLists::mark_accessed(PageId page) {
  State& state = states_[page];
  if (!state.listed) return;
  if (!state.referenced) {
    state.referenced = true;
  } else if (!is_active(state.lru) && state.waiting) {  // __lru_cache_activate_folio()
    state.referenced = false;
    state.lru = lru_of(kind_of(state.lru), true);
    age_ += state.pages;
  } else if (!is_active(state.lru)) {
    state.referenced = false;
    move(page, lru_of(kind_of(state.lru), true));
  }
}

void LruLists::evict(PageId page) {
  State& state = states_[page];
  FL_ASSERT(state.listed);
  take(page);
  state.listed = false;
  state.evicted_at = age_;
  age_ += state.pages;
}

void LruLists::forget(PageId page) {
  if (page >= states_.size()) return;
  State& state = states_[page];
  if (state.listed) take(page);
  state = State{};
}

void LruLists::note_cost(PageKind kind, std::uint64_t io, std::uint64_t rotated) {
  const std::uint64_t cost = io * kClusterMax + rotated;
  if (cost == 0) return;  // what came for nothing does not make what was before older
  cost_[static_cast<std::size_t>(kind)] += cost;
  const std::uint64_t listed = known_size(Lru::inactive_anon) + known_size(Lru::active_anon) + known_size(Lru::inactive_file) + known_size(Lru::active_file);
  if (cost_[0] + cost_[1] > listed / 4) {
    cost_[0] /= 2;
    cost_[1] /= 2;
  }
}

// The larger the lists, the smaller the share of the inactive one: 1:1 up to 1 GiB, 3:1 at 1 GiB, 10:1 at 10 GiB.
bool LruLists::inactive_is_low(PageKind kind) const {
  const std::uint64_t inactive = known_size(lru_of(kind, false));
  const std::uint64_t active = known_size(lru_of(kind, true));
  const std::uint64_t gib = (inactive + active) / kGiBPages;
  const std::uint64_t ratio = gib == 0 ? 1 : static_cast<std::uint64_t>(std::sqrt(static_cast<double>(10 * gib)));
  return inactive * ratio < active;
}

void LruLists::check_invariants() const {
  std::uint64_t listed = 0;
  std::uint64_t found = 0;
  for (const PageQueue& one : lists_) {
    std::uint64_t here = 0;
    one.for_oldest(one.size() + 1, [&](PageId page) {
      FL_ASSERT(&list(states_[page].lru) == &one && one.at(states_[page].place) == page);
      ++here;
    });
    FL_ASSERT(here == one.size());
    found += here;
  }
  for (PageId page = 0; page < states_.size(); ++page) {
    if (!states_[page].listed || states_[page].waiting) continue;
    listed += states_[page].pages;
    --found;
  }
  FL_ASSERT(found == 0);
  FL_ASSERT(listed == total());
}

}  // namespace faultline::mm
