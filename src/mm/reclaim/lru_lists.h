// LruLists: the four lists of the classic page replacement of Linux — anonymous and file pages, inactive and active — with what is
// remembered of pages that went (shadow entries). Counterpart: struct lruvec (include/linux/mmzone.h), mm/workingset.c, mm/swap.c,
// Linux 6.18.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "mm/reclaim/page_array.h"
#include "mm/reclaim/page_queue.h"
#include "mm/reclaim/policy.h"

namespace faultline::mm {

enum class Lru : std::uint8_t { inactive_anon, active_anon, inactive_file, active_file };
inline constexpr std::size_t kLrus = 4;

constexpr bool is_active(Lru lru) { return lru == Lru::active_anon || lru == Lru::active_file; }
constexpr PageKind kind_of(Lru lru) { return lru >= Lru::inactive_file ? PageKind::file : PageKind::anonymous; }
constexpr Lru lru_of(PageKind kind, bool active) {
  return static_cast<Lru>((kind == PageKind::file ? 2 : 0) + (active ? 1 : 0));
}

class LruLists {
 public:
  explicit LruLists(std::uint64_t pages) : states_(pages) {}

  std::uint64_t size(Lru lru) const { return pages_[index(lru)]; }  // pages
  std::uint64_t pages(PageId page) const { return states_[page].pages; }
  std::uint64_t total() const { return size(Lru::inactive_anon) + size(Lru::active_anon) + size(Lru::inactive_file) + size(Lru::active_file); }
  PageId oldest(Lru lru) const { return list(lru).oldest(); }
  template <typename Visit>
  void for_oldest(Lru lru, std::uint64_t most, Visit&& visit) const { list(lru).for_oldest(most, visit); }
  bool listed(PageId page) const { return states_[page].listed; }  // or about to be: in the batch
  bool waiting(PageId page) const { return states_[page].waiting; }
  // Pages come to their list in batches (struct cpu_fbatches, mm/swap.c); until then nobody who looks for pages finds them.
  void drain();
  Lru lru(PageId page) const { return states_[page].lru; }
  void prefetch(PageId page) const {  // it will be looked at
    if (page < states_.size()) __builtin_prefetch(&states_[page], 1);
  }

  // A page that is resident from now on: among the inactive ones, or among the active ones if it went only a short while ago.
  // swap: whether anonymous pages can be evicted. Returns true in the latter case (WORKINGSET_ACTIVATE).
  bool insert(PageId page, PageKind kind, bool swap, std::uint64_t pages = 1);
  // folio_mark_accessed(): a second mark makes it active.
  void mark_accessed(PageId page);
  // It goes, and is remembered by the age it went at: workingset_eviction().
  void evict(PageId page);
  void forget(PageId page);  // it goes for good, resident or remembered

  // Takes the page from its list to the newest end of that one, or to the oldest.
  void move(PageId page, Lru to) {
    State& state = states_[page];
    take(page);
    state.lru = to;
    put(page);
    if (is_active(to)) age_ += state.pages;  // move_folios_to_lru()
  }
  void move_to_oldest(PageId page) {
    PageQueue& queue = lists_[index(lru(page))];
    queue.remove(states_[page].place);
    queue.push_oldest(page, Moved{states_});
  }
  void set_working_set(PageId page) { states_[page].working_set = true; }
  bool in_working_set(PageId page) const { return states_[page].working_set; }
  void set_referenced(PageId page) { states_[page].referenced = true; }
  bool test_and_clear_referenced(PageId page) {
    const bool was = states_[page].referenced;
    states_[page].referenced = false;
    return was;
  }

  // lru_note_cost(): what reclaim of a kind cost lately, in pages that went round in vain and pages of I/O.
  void note_cost(PageKind kind, std::uint64_t io, std::uint64_t rotated);
  std::uint64_t cost(PageKind kind) const { return cost_[static_cast<std::size_t>(kind)]; }

  // The statistics of a group (struct lruvec_stats) are summed up every two seconds only, and what is decided by them is decided by
  // the last sum: lruvec_page_state(), mem_cgroup_flush_stats() (mm/memcontrol.c). A group begins with zeroes. Lists without
  // keep_statistics() know their own state.
  void keep_statistics() { stale_ = true; }
  void publish() { published_ = {pages_, activations_}; }
  std::uint64_t known_size(Lru lru) const { return stale_ ? published_.pages[index(lru)] : size(lru); }
  std::uint64_t activations(PageKind kind) const {  // WORKINGSET_ACTIVATE_*
    return (stale_ ? published_.activations : activations_)[static_cast<std::size_t>(kind)];
  }
  bool inactive_is_low(PageKind kind) const;
  void check_invariants() const;

 private:
  struct alignas(32) State {  // never on two lines of the processor's cache
    std::uint64_t evicted_at = kNever;  // the age when it went; kNever: not remembered
    std::uint32_t pages = 1;  // of the folio
    PageQueue::Place place = 0;  // on its list
    Lru lru = Lru::inactive_anon;
    bool listed = false;
    bool waiting = false;       // in the batch
    bool referenced = false;    // PG_referenced
    bool working_set = false;   // PG_workingset: was active; kept in the shadow entry
  };
  struct Moved {  // keeps a page's place
    PageArray<State>& states;
    void operator()(PageId page, PageQueue::Place place) const { states[page].place = place; }
  };
  struct Statistics {
    std::array<std::uint64_t, kLrus> pages{};
    std::array<std::uint64_t, 2> activations{};
  };
  static std::size_t index(Lru lru) { return static_cast<std::size_t>(lru); }
  const PageQueue& list(Lru lru) const { return lists_[index(lru)]; }

  void put(PageId page) {
    State& state = states_[page];
    state.waiting = false;
    lists_[index(state.lru)].push_newest(page, Moved{states_});
    pages_[index(state.lru)] += state.pages;
  }
  void take(PageId page) {
    State& state = states_[page];
    if (state.waiting) {
      std::erase(batch_, page);
      state.waiting = false;
      return;
    }
    lists_[index(state.lru)].remove(state.place);
    pages_[index(state.lru)] -= state.pages;
  }

  std::vector<PageId> batch_;
  std::array<PageQueue, kLrus> lists_;
  std::array<std::uint64_t, kLrus> pages_{};  // on each list
  PageArray<State> states_;
  std::uint64_t age_ = 0;  // nonresident_age: evictions and activations so far
  std::array<std::uint64_t, 2> cost_{};
  std::array<std::uint64_t, 2> activations_{};
  bool stale_ = false;
  Statistics published_;
};

}  // namespace faultline::mm
