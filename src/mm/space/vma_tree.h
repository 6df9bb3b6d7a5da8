// VmaTree: the mappings of an address space, sorted by address. Counterpart: the maple tree mm->mm_mt.
//
// A B+ tree of two levels: blocks of up to 64 mappings, and above them one sorted array with each block's first start
// and its widest gap. With max_map_count at 65530 the upper array has some two thousand entries, so lookup is two
// binary searches and the search for a gap skips whole blocks.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mm/space/vma.h"

namespace faultline::mm {

class VmaTree {
 public:
  VmaTree() = default;
  ~VmaTree();  // lets go of the AnonChains and files
  VmaTree(const VmaTree&) = delete;
  VmaTree& operator=(const VmaTree&) = delete;

  std::uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

  // Pointers stay valid until the next insert or erase. Start and end are changed with resize() only; the other members
  // may be written through the pointer, anon_vma with set_anon_vma() only.
  Vma* find(std::uint64_t address) {  // the first mapping that ends above address (find_vma)
    return latest_ != nullptr && latest_->contains(address) ? latest_ : search(address);
  }
  const Vma* find(std::uint64_t address) const { return const_cast<VmaTree*>(this)->find(address); }
  Vma* containing(std::uint64_t address) {  // vma_lookup
    Vma* vma = find(address);
    return vma != nullptr && vma->start <= address ? vma : nullptr;
  }
  const Vma* containing(std::uint64_t address) const { return const_cast<VmaTree*>(this)->containing(address); }
  Vma* before(std::uint64_t address);  // the last mapping that starts below address
  const Vma* before(std::uint64_t address) const { return const_cast<VmaTree*>(this)->before(address); }
  Vma* next(const Vma& vma) { return find(vma.end); }
  bool overlaps(std::uint64_t start, std::uint64_t end) const {
    const Vma* vma = find(start);
    return vma != nullptr && vma->start < end;
  }

  Vma* insert(const Vma& vma);                                       // must not overlap
  void erase(std::uint64_t start);                                   // the mapping that starts there
  void resize(Vma& vma, std::uint64_t start, std::uint64_t end);     // neighbours must leave room; pgoff is the caller's
  static void set_anon_vma(Vma& vma, AnonChain* chain);              // chain gains this user, the old one loses it

  // The highest free [address, address + length) within [floor, ceiling). A mapping that grows down keeps `guard`
  // bytes free below itself. Linux: unmapped_area_topdown().
  std::optional<std::uint64_t> highest_gap(std::uint64_t length, std::uint64_t floor, std::uint64_t ceiling,
                                           std::uint64_t guard) const;
  // The lowest one. Linux: unmapped_area().
  std::optional<std::uint64_t> lowest_gap(std::uint64_t length, std::uint64_t floor, std::uint64_t ceiling,
                                          std::uint64_t guard) const;

  template <typename Visit>
  void for_each(Visit&& visit) const {
    for (const auto& block : blocks_) {
      for (std::size_t i = 0; i < block->count; ++i) visit(block->vmas[i]);
    }
  }
  void check_invariants() const;

 private:
  static constexpr std::size_t kBlockSize = 64;
  struct Block {
    std::size_t count = 0;
    std::array<Vma, kBlockSize> vmas;
  };
  struct Position {
    std::size_t block = 0;
    std::size_t index = 0;
  };
  static constexpr std::uint64_t kUnknownGap = ~std::uint64_t{0};

  static void let_go(const Vma& vma);
  Vma* search(std::uint64_t address);
  std::size_t block_of(std::uint64_t address) const;  // the last block whose first start is <= address, else 0
  Position locate(const Vma& vma) const;
  void split_block(std::size_t block);
  void bounds_changed(std::size_t block);
  std::uint64_t end_before(std::size_t block) const;  // end of the last mapping of the block before, or 0
  std::uint64_t widest_gap(std::size_t block) const;

  std::uint64_t size_ = 0;
  Vma* latest_ = nullptr;  // what find() found: the next one is asked about the same, mostly
  std::vector<std::unique_ptr<Block>> blocks_;       // none is empty
  std::vector<std::uint64_t> first_starts_;          // blocks_[i]->vmas[0].start
  mutable std::vector<std::uint64_t> widest_gaps_;   // free bytes before some mapping of the block; kUnknownGap: recompute
};

}  // namespace faultline::mm
