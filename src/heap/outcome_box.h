// OutcomeBox: which other settings would have had the same outcome. The heap notes every comparison of a setting whose answer
// could have been another one; what is left when the run is over is a box of settings under which each comparison has the same
// answer, so each allocation the same address and each page the same touch. A search needs one replay for all of it.
//
// A box may be smaller than need be, never larger. Models only: real memory (trusts_headers) notes nothing.
#pragma once

#include <cstdint>

#include "heap/memory_provider.h"
#include "heap/settings.h"

namespace faultline::heap {

// Values of one setting. Closed: the program has set it itself by now, what it was at the start no longer matters.
class Range {
 public:
  std::uint64_t least() const { return least_; }
  std::uint64_t most() const { return most_; }
  bool holds(std::uint64_t value) const { return least_ <= value && value <= most_; }

  void at_least(std::uint64_t value) {
    if (open_ && value > least_) least_ = value;
  }
  void at_most(std::uint64_t value) {
    if (open_ && value < most_) most_ = value;
  }
  void exactly(std::uint64_t value) {
    at_least(value);
    at_most(value);
  }
  void close() { open_ = false; }

 private:
  std::uint64_t least_ = 0, most_ = ~std::uint64_t{0};
  bool open_ = true;
};

class OutcomeBox {
 public:
  OutcomeBox() = default;
  // at_start: the settings the process begins with.
  explicit OutcomeBox(const Settings& at_start) : start_(at_start) {
    start_.box = nullptr;
    tcache_bins_.at_least(start_.tcache_bins);    // a smaller cache is not looked at: its hits are the hottest path
    tcache_count_.at_least(start_.tcache_count);
  }

  // True if a process that begins with these settings does exactly what the one that was watched did.
  bool covers(const Settings& other) const {
    return mmap_threshold_.holds(other.mmap_threshold) && trim_threshold_.holds(other.trim_threshold) && top_pad_.holds(other.top_pad) &&
           other.mmap_max >= 0 && mmap_max_.holds(static_cast<std::uint64_t>(other.mmap_max)) && tcache_bins_.holds(other.tcache_bins) &&
           tcache_count_.holds(other.tcache_count) && max_fast_.holds(other.max_fast) && same_adaptation(other) && same_arenas(other) &&
           start_.tcache_unsorted_limit == other.tcache_unsorted_limit && start_.perturb == other.perturb && start_.huge_page == other.huge_page &&
           start_.explicit_huge_page == other.explicit_huge_page && start_.break_known == other.break_known &&
           start_.strict_overcommit == other.strict_overcommit && start_.caps_mmap_threshold == other.caps_mmap_threshold;
  }

  // A request that only the system can serve: a mapping of its own, if it is large and there are not too many of them.
  void large_request(std::uint64_t chunk_size, std::int32_t mapped, const Settings& now) {
    if (mapped >= now.mmap_max) return mmap_max_.at_most(static_cast<std::uint64_t>(mapped));
    if (chunk_size < now.mmap_threshold) return mmap_threshold_.at_least(chunk_size + 1);
    mmap_threshold_.at_most(chunk_size);
    mmap_max_.at_least(static_cast<std::uint64_t>(mapped) + 1);
  }
  // A top that trimming would make smaller.
  void trimmable_top(std::uint64_t top_size, const Settings& now) {
    if (top_size < now.trim_threshold) trim_threshold_.at_least(top_size + 1);
    else trim_threshold_.at_most(top_size);
  }
  void top_padded(const Settings& now) { top_pad_.exactly(now.top_pad); }
  void chunk_given_back(std::uint64_t size, const Settings& now) {
    if (size <= now.max_fast) max_fast_.at_least(size);
    else if (size <= kLargestFast) max_fast_.at_most(size - 1);
  }
  // The thread's cache had no place for a chunk of this list: it has no such list, or the list is full.
  void no_cache_list(std::uint64_t list) { tcache_bins_.at_most(list); }
  void cache_list_full(const Settings& now) { tcache_count_.at_most(now.tcache_count); }
  void arena_limit_asked() { arena_limit_asked_ = true; }

  // Settings::mallopt and Settings::adapt.
  void program_set(int parameter) {
    switch (parameter) {
      case kMxfast: return max_fast_.close();
      case kTrimThreshold: return froze(trim_threshold_);
      case kTopPad: return froze(top_pad_);
      case kMmapThreshold: return froze(mmap_threshold_);
      case kMmapMax: return froze(mmap_max_);
      default: return;
    }
  }
  void mapped_freed(std::uint64_t header) {
    if (!frozen_by_program_ && header > largest_freed_) largest_freed_ = header;
  }
  void adapted() {
    adapted_ = true;
    mmap_threshold_.close();
    trim_threshold_.close();
  }

 private:
  static constexpr std::uint64_t kLargestFast = 176;

  void froze(Range& range) {
    range.close();
    frozen_by_program_ = true;
  }
  bool same_adaptation(const Settings& other) const {
    if (start_.dynamic_threshold == other.dynamic_threshold) return true;
    return start_.dynamic_threshold ? !adapted_ : largest_freed_ <= other.mmap_threshold;
  }
  bool same_arenas(const Settings& other) const {
    return !arena_limit_asked_ || (start_.arena_max == other.arena_max && start_.arena_test == other.arena_test);
  }

  Settings start_{Parameters{}};
  Range mmap_threshold_, trim_threshold_, top_pad_, mmap_max_, tcache_bins_, tcache_count_, max_fast_;
  std::uint64_t largest_freed_ = 0;  // mapped chunks that adaptation would have looked at
  bool adapted_ = false, frozen_by_program_ = false, arena_limit_asked_ = false;
};

// f(OutcomeBox&), where one is kept.
template <typename Memory, class F>
void note_in_box(const Settings& settings, F f) {
  if constexpr (!trusts_headers<Memory>) {
    if (settings.box != nullptr) [[unlikely]] f(*settings.box);
  }
}

}  // namespace faultline::heap
