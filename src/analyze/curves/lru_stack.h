// LruStack: the depth at which a page is on the LRU stack, found without walking it. Source: Mattson et al. 1970 for the stack; the
// tree is that of F. Olken, LBL-12370, 1981, as a Fenwick tree over the times of last references, renumbered when times run out.
//
// A page the program gives back leaves a hole at its place: memories large enough to have held it have a free frame now, smaller ones
// do not. A hole above the next referenced page is filled by it and moves to where that page was (those memories that had the page
// still have their free frame). So the stack stays one stack for all sizes.
#pragma once

#include <cstdint>
#include <limits>
#include <queue>
#include <span>
#include <vector>

#include "analyze/curves/huge_array.h"
#include "mm/reclaim/policy.h"

namespace faultline::analyze {

class LruStack {
 public:
  static constexpr std::uint64_t kAbsent = std::numeric_limits<std::uint64_t>::max();

  // Page numbers are below it from now on.
  void reach(mm::PageId pages);
  // The page's depth, 1 on top: it hits in every memory of at least that many frames. kAbsent: it was not there. It is on top now.
  std::uint64_t touch(mm::PageId page);
  // Its contents are gone.
  void take_away(mm::PageId page);
  // It was never there (it left a sample): no hole.
  void erase(mm::PageId page);
  // The pages will be touched soon, in two steps: the times of the first, then what the times of the second lead to.
  void prefetch(std::span<const mm::PageId> soon, std::span<const mm::PageId> sooner) const;
  void check_invariants() const;

 private:
  using Time = std::uint32_t;
  static constexpr Time kNone = std::numeric_limits<Time>::max();
  static constexpr unsigned kWordsPerBlock = 4;  // 256 times a block

  bool marked(Time at) const { return (words_[at / 64] >> (at % 64) & 1) != 0; }
  void mark_now();
  void clear(Time at);
  // Marked times before `at`.
  std::uint64_t marked_before(Time at) const;
  void renumber();

  std::pmr::vector<Time> last_{huge_memory()};                 // of each page
  std::pmr::vector<std::uint64_t> words_{huge_memory()};       // one bit a time: a page's last reference, or a hole
  std::pmr::vector<std::uint16_t> word_counts_{huge_memory()};
  std::pmr::vector<std::uint32_t> tree_{huge_memory()};        // Fenwick tree over the counts of all blocks before the one being filled
  Time now_ = 0;
  std::uint64_t marked_ = 0;
  std::priority_queue<Time> holes_;        // the topmost first
};

}  // namespace faultline::analyze
