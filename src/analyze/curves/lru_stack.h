// LruStack: the depth at which a page is on the LRU stack, found without walking it. Source: Mattson et al. 1970 for the stack; the
// tree is that of F. Olken, LBL-12370, 1981, over the times of last references, renumbered when times run out: a Fenwick tree over
// blocks of 65,536 times, and within a block two levels of 32 with sums that are ready. A sum is read at once there, and what changes
// is one cache line a level, without a branch that depends on where.
//
// A page the program gives back leaves a hole at its place: memories large enough to have held it have a free frame now, smaller ones
// do not. A hole above the next referenced page is filled by it and moves to where that page was (those memories that had the page
// still have their free frame). So the stack stays one stack for all sizes.
#pragma once

#include <array>
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
  static constexpr std::size_t kFan = 32;  // words a node, nodes a block: sums of a block's parts fit 16 bits
  static constexpr Time kTimesPerBlock = 64 * kFan * kFan;
  using Sums = std::array<std::uint16_t, kFan>;  // marked times of the node before each of its children, as far as `now_` has come

  bool marked(Time at) const { return (words_[at / 64] >> (at % 64) & 1) != 0; }
  void mark_now();
  void enter_word();
  void clear(Time at);
  // Marked times before `at`.
  std::uint64_t marked_before(Time at) const;
  void renumber();

  std::pmr::vector<Time> last_{huge_memory()};            // of each page
  std::pmr::vector<std::uint64_t> words_{huge_memory()};  // one bit a time: a page's last reference, or a hole
  std::pmr::vector<Sums> word_sums_{huge_memory()};       // of each node, before each word
  std::pmr::vector<Sums> node_sums_{huge_memory()};       // of each block, before each node
  std::pmr::vector<std::uint32_t> tree_{huge_memory()};   // Fenwick tree over the counts of all blocks before the one being filled
  Time now_ = 0;
  std::uint64_t marked_ = 0;
  std::priority_queue<Time> holes_;  // the topmost first
};

}  // namespace faultline::analyze
