// Sets and counters keyed by a non-zero 64-bit number: open addressing, no erase. For the millions of (site, page) and
// (site, instruction) pairs of a long recording, where a node per entry would cost more than the entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace faultline::analyze {

class FlatCounter {
 public:
  FlatCounter() : keys_(1024), counts_(1024) {}

  // Adds n to the key's count and returns the count before; 0 means the key is new.
  std::uint64_t add(std::uint64_t key, std::uint64_t n = 1) {
    if ((used_ + 1) * 10 > keys_.size() * 7) grow();
    const std::size_t i = find(key + 1);
    if (keys_[i] == 0) {
      keys_[i] = key + 1;
      ++used_;
    }
    const std::uint64_t before = counts_[i];
    counts_[i] += n;
    return before;
  }
  std::size_t size() const { return used_; }

  template <typename Visitor>
  void for_each(Visitor&& visit) const {
    for (std::size_t i = 0; i < keys_.size(); ++i) {
      if (keys_[i] != 0) visit(keys_[i] - 1, counts_[i]);
    }
  }

 private:
  std::vector<std::uint64_t> keys_, counts_;  // key + 1; 0 is empty
  std::size_t used_ = 0;

  std::size_t find(std::uint64_t stored) const {
    const std::uint64_t mixed = stored * 0x9e3779b97f4a7c15u;
    const std::size_t mask = keys_.size() - 1;
    std::size_t i = static_cast<std::size_t>(mixed ^ (mixed >> 32)) & mask;
    while (keys_[i] != 0 && keys_[i] != stored) i = (i + 1) & mask;
    return i;
  }
  void grow() {
    std::vector<std::uint64_t> keys(keys_.size() * 2), counts(keys_.size() * 2);
    keys.swap(keys_);
    counts.swap(counts_);
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == 0) continue;
      const std::size_t at = find(keys[i]);
      keys_[at] = keys[i];
      counts_[at] = counts[i];
    }
  }
};

}  // namespace faultline::analyze
