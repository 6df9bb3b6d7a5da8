// PageTable: four levels of 512 entries, x86-64 layout, one per address space.
// Level 4 is the root (PGD), 3 PUD, 2 PMD, 1 the PTE table. Table pages take frames like any other page.
#pragma once

#include <array>
#include <cstdint>
#include <functional>

#include "base/units.h"
#include "mm/paging/pte.h"
#include "mm/phys/frame_table.h"

namespace faultline::mm {

inline constexpr int kLevels = 4;
inline constexpr std::uint64_t kEntriesPerTable = 512;

struct TablePage {
  std::array<Pte, kEntriesPerTable> entries{};
};

// Bytes of address space one entry of `level` covers: 4 KiB, 2 MiB, 1 GiB, 512 GiB.
constexpr std::uint64_t entry_span(int level) { return std::uint64_t{1} << (kPageShift + 9 * static_cast<unsigned>(level - 1)); }
constexpr std::uint64_t table_span(int level) { return entry_span(level) * kEntriesPerTable; }
constexpr std::uint64_t table_index(std::uint64_t address, int level) {
  return (address / entry_span(level)) % kEntriesPerTable;
}

class PageTable {
 public:
  explicit PageTable(FrameTable& frames);
  ~PageTable();
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  // The last-level entry if the walk cache knows its table. The cache stands for the processor's paging-structure
  // cache: one slot per 2 MiB region, and dropped when a table is freed.
  Pte* cached_entry(Vpn vpn) {
    const std::uint64_t region = vpn.value / kEntriesPerTable;
    const CacheSlot& slot = cache_[region % kCacheSlots];
    return slot.region == region ? &slot.table->entries[vpn.value % kEntriesPerTable] : nullptr;
  }
  const Pte* cached_entry(Vpn vpn) const { return const_cast<PageTable*>(this)->cached_entry(vpn); }
  Pte* entry(Vpn vpn) {  // walks; nullptr when a table on the way is missing
    Pte* const cached = cached_entry(vpn);
    return cached != nullptr ? cached : walk_to(vpn);
  }
  const Pte* entry(Vpn vpn) const {
    const Pte* const cached = cached_entry(vpn);
    return cached != nullptr ? cached : walk_to(vpn);
  }
  Pte* make_entry(Vpn vpn);            // walks and builds missing tables; nullptr when frames run out

  // Calls visit(address, Pte&) for every entry that is not empty in [start, end), in address order. visit may clear or
  // change the entry and may build tables elsewhere, and must not free any.
  template <typename Visit>
  void for_each(std::uint64_t start, std::uint64_t end, Visit&& visit) {
    ++changes_;
    walk(start, end, visit);
  }
  // The same for who only looks: visit(address, const Pte&).
  template <typename Visit>
  void for_each(std::uint64_t start, std::uint64_t end, Visit&& visit) const {
    walk(start, end, [&](std::uint64_t at, const Pte& pte) { visit(at, pte); });
  }

  // Calls visit(from, to) for every stretch of [start, end) that one last-level table covers, empty or not.
  template <typename Visit>
  void for_each_table(std::uint64_t start, std::uint64_t end, Visit&& visit) {
    for (std::uint64_t address = start; address < end;) {
      TablePage* leaf = nullptr;
      const std::uint64_t skip = find_leaf(address, leaf);
      const std::uint64_t stop = skip < end ? skip : end;
      if (leaf != nullptr) visit(address, stop);
      address = stop;
    }
  }

  // After [start, end) was unmapped: frees the table pages that serve nothing else, given that nothing is mapped in
  // [floor, ceiling). Linux: free_pgtables().
  void free_tables(std::uint64_t start, std::uint64_t end, std::uint64_t floor, std::uint64_t ceiling);

  // Frees the last-level tables that lie wholly in [start, end) and map nothing. Linux: try_to_free_pte() (PT_RECLAIM).
  void free_empty_leaves(std::uint64_t start, std::uint64_t end);

  // Counts whatever may have taken rights away from entries, or cleared their accessed and dirty bits: as long as it stands still, an
  // access that was a hit is one again. It is to who remembers translations what a shootdown is to a TLB.
  std::uint64_t changes() const { return changes_; }
  void note_change() { ++changes_; }

  std::uint64_t table_pages() const { return table_pages_; }            // levels 1-3, what VmPTE counts
  ByteCount table_bytes() const { return PageCount(table_pages_).bytes(); }
  Pfn root() const { return root_; }
  const FrameTable& frames() const { return frames_; }
  // Recounts table pages; entries_in_use: last-level entries that map something.
  void check_invariants() const;
  std::uint64_t count_entries() const;

 private:
  struct CacheSlot {
    std::uint64_t region = ~std::uint64_t{0};
    TablePage* table = nullptr;
  };
  static constexpr std::size_t kCacheSlots = 512;

  Pte* walk_to(Vpn vpn);  // and remembers the table
  const Pte* walk_to(Vpn vpn) const;
  TablePage& table(Pfn pfn) const { return *frames_.at(pfn).table; }
  std::optional<Pfn> new_table();
  void drop_table(Pfn pfn);
  std::uint64_t find_leaf(std::uint64_t address, TablePage*& leaf) const;
  template <typename Visit>
  void walk(std::uint64_t start, std::uint64_t end, Visit&& visit) const {
    std::uint64_t address = start;
    while (address < end) {
      TablePage* leaf = nullptr;
      const std::uint64_t skip = find_leaf(address, leaf);
      const std::uint64_t stop = skip < end ? skip : end;
      if (leaf != nullptr) {
        for (std::uint64_t at = address; at < stop; at += kPageSize) {
          Pte& pte = leaf->entries[table_index(at, 1)];
          if (!pte.none()) visit(at, pte);
        }
      }
      address = stop;
    }
  }
  bool free_below(Pfn pfn, int level, std::uint64_t base, std::uint64_t start, std::uint64_t end, std::uint64_t floor,
                  std::uint64_t ceiling);
  void remember(Vpn vpn, TablePage* leaf);
  void forget(std::uint64_t region);
  void count_below(Pfn pfn, int level, std::uint64_t& tables, std::uint64_t& entries) const;
  void drop_below(Pfn pfn, int level);

  FrameTable& frames_;
  Pfn root_;
  std::uint64_t table_pages_ = 0;
  std::uint64_t changes_ = 0;
  std::array<CacheSlot, kCacheSlots> cache_{};
};

}  // namespace faultline::mm
