// PageNumbering: (process, page) to a number by first appearance, 0, 1, 2 …: what the arrays of policies and simulations are indexed
// by. An open-addressing hash of 16-byte slots; callers prefetch a few references ahead, which hides its cache misses.
#pragma once

#include <cstdint>
#include <optional>

#include "analyze/curves/huge_array.h"
#include "mm/reclaim/policy.h"

namespace faultline::analyze {

// 64 well-mixed bits of a page of a process (the finaliser of MurmurHash3, public domain).
constexpr std::uint64_t page_hash(std::uint64_t page, std::uint32_t process, std::uint64_t salt = 0) {
  std::uint64_t h = page + process * 0x9e3779b97f4a7c15 + salt * 0xd1342543de82ef95;
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccd;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53;
  return h ^ (h >> 33);
}

class PageNumbering {
 public:
  PageNumbering();

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&slots_[hash >> shift_]); }
  // hash is page_hash(page, process). kNoPage: no memory for the table, or more than 2^32 - 2 pages.
  mm::PageId number(std::uint64_t page, std::uint32_t process, std::uint64_t hash) {
    const Slot& slot = find_slot(page, process, hash);
    if (slot.number != 0) [[likely]]
      return slot.number - 1;
    return add(page, process, hash);
  }
  std::optional<mm::PageId> find(std::uint64_t page, std::uint32_t process) const {
    const Slot& slot = find_slot(page, process, page_hash(page, process));
    if (slot.number == 0) return std::nullopt;
    return slot.number - 1;
  }
  // visit(number, page) for every page of a process, in no order.
  template <typename Visit>
  void for_each_of(std::uint32_t process, Visit&& visit) const {
    for (std::size_t at = 0; at < slots_.size(); ++at) {
      const Slot& slot = slots_[at];
      if (slot.number != 0 && slot.process == process) visit(slot.number - 1, slot.page);
    }
  }
  mm::PageId pages() const { return pages_; }

 private:
  struct Slot {
    std::uint64_t page;
    std::uint32_t process;
    std::uint32_t number;  // + 1; 0: empty
  };
  // The page's slot, or the empty one where it belongs.
  Slot& find_slot(std::uint64_t page, std::uint32_t process, std::uint64_t hash) const {
    std::size_t at = hash >> shift_;
    while (slots_[at].number != 0 && (slots_[at].page != page || slots_[at].process != process)) at = (at + 1) & (slots_.size() - 1);
    return slots_[at];
  }
  mm::PageId add(std::uint64_t page, std::uint32_t process, std::uint64_t hash);
  Result<void> resize(unsigned bits);

  HugeArray<Slot> slots_;
  unsigned shift_ = 0;
  mm::PageId pages_ = 0;
};

}  // namespace faultline::analyze
