// MemoryLimit: pages charged to a group of processes against its limit. Counterpart: struct page_counter and try_charge_memcg()
// (mm/page_counter.c, mm/memcontrol.c): charges are taken in batches, so that the last pages below the limit are used one by one.
#pragma once

#include <algorithm>
#include <cstdint>

namespace faultline::mm {

class MemoryLimit {
 public:
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  // batch: pages charged at once (MEMCG_CHARGE_BATCH).
  MemoryLimit(std::uint64_t limit, std::uint64_t batch) : limit_(limit), batch_(batch) {}

  // From what was charged before or from the limit. False: not so much is left of it.
  bool charge(std::uint64_t pages = 1) {
    if (stock_ < pages) {
      const std::uint64_t batch = std::max(batch_, pages);
      const std::uint64_t more = usage_ + batch <= limit_ ? batch : (usage_ + pages <= limit_ ? pages : 0);
      if (more == 0) return false;
      stock_ += more;
      usage_ += more;
      peak_ = std::max(peak_, usage_);
    }
    stock_ -= pages;
    return true;
  }
  void uncharge() { --usage_; }
  std::uint64_t limit() const { return limit_; }
  std::uint64_t usage() const { return usage_; }  // the stock included, as memory.usage_in_bytes counts
  std::uint64_t peak() const { return peak_; }    // memory.max_usage_in_bytes

 private:
  std::uint64_t limit_;
  std::uint64_t batch_;
  std::uint64_t usage_ = 0;
  std::uint64_t peak_ = 0;
  std::uint64_t stock_ = 0;
};

}  // namespace faultline::mm
