#include "mm/paging/page_table.h"

#include <algorithm>

#include "base/assert.h"

namespace faultline::mm {

namespace {
// Upper entries always allow everything: rights are decided in the last level, as Linux's _PAGE_TABLE entries do.
constexpr std::uint64_t kTableEntry = Pte::kPresent | Pte::kWritable | Pte::kUser | Pte::kAccessed | Pte::kDirty;
}  // namespace

PageTable::PageTable(FrameTable& frames) : frames_(frames) {
  const std::optional<Pfn> root = frames_.allocate(FrameUse::page_table);
  FL_ASSERT(root.has_value());  // a machine that cannot hold one table page runs no process
  frames_.at(*root).table = new TablePage;
  root_ = *root;
}

PageTable::~PageTable() { drop_below(root_, kLevels); }

std::optional<Pfn> PageTable::new_table() {
  const std::optional<Pfn> pfn = frames_.allocate(FrameUse::page_table);
  if (!pfn) return std::nullopt;
  frames_.at(*pfn).table = new TablePage;
  ++table_pages_;
  return pfn;
}

void PageTable::drop_table(Pfn pfn) {
  delete frames_.at(pfn).table;
  frames_.release(pfn);
  --table_pages_;
}

void PageTable::drop_below(Pfn pfn, int level) {
  if (level > 1) {
    for (const Pte entry : table(pfn).entries) {
      if (entry.present()) drop_below(entry.pfn(), level - 1);
    }
  }
  delete frames_.at(pfn).table;
  frames_.release(pfn);
}

void PageTable::remember(Vpn vpn, TablePage* leaf) {
  const std::uint64_t region = vpn.value / kEntriesPerTable;
  cache_[region % kCacheSlots] = CacheSlot{region, leaf};
}

void PageTable::forget(std::uint64_t region) {
  CacheSlot& slot = cache_[region % kCacheSlots];
  if (slot.region == region) slot = CacheSlot{};
}

void PageTable::free_empty_leaves(std::uint64_t start, std::uint64_t end) {
  constexpr std::uint64_t span = table_span(1);
  for (std::uint64_t at = (start + span - 1) / span * span; at < end && end - at >= span; at += span) {
    TablePage* above = &table(root_);
    for (int level = kLevels; level > 2 && above != nullptr; --level) {
      const Pte step = above->entries[table_index(at, level)];
      above = step.present() ? &table(step.pfn()) : nullptr;
    }
    if (above == nullptr) continue;
    Pte& entry = above->entries[table_index(at, 2)];
    if (!entry.present()) continue;
    const TablePage& leaf = table(entry.pfn());
    if (!std::all_of(leaf.entries.begin(), leaf.entries.end(), [](Pte pte) { return pte.none(); })) continue;
    forget(at / span);
    drop_table(entry.pfn());
    entry = Pte{};
  }
}

const Pte* PageTable::walk_to(Vpn vpn) const {
  const std::uint64_t address = base_of(vpn).value;
  TablePage* at = &table(root_);
  for (int level = kLevels; level > 1; --level) {
    const Pte step = at->entries[table_index(address, level)];
    if (!step.present()) return nullptr;
    at = &table(step.pfn());
  }
  return &at->entries[table_index(address, 1)];
}

Pte* PageTable::walk_to(Vpn vpn) {
  TablePage* leaf = nullptr;
  const std::uint64_t address = base_of(vpn).value;
  find_leaf(address, leaf);
  if (leaf == nullptr) return nullptr;
  remember(vpn, leaf);
  return &leaf->entries[table_index(address, 1)];
}

Pte* PageTable::make_entry(Vpn vpn) {
  if (Pte* cached = cached_entry(vpn); cached != nullptr) return cached;
  const std::uint64_t address = base_of(vpn).value;
  TablePage* at = &table(root_);
  for (int level = kLevels; level > 1; --level) {
    Pte& step = at->entries[table_index(address, level)];
    if (!step.present()) {
      const std::optional<Pfn> pfn = new_table();
      if (!pfn) return nullptr;
      step = Pte::make(*pfn, kTableEntry);
    }
    at = &table(step.pfn());
  }
  remember(vpn, at);
  return &at->entries[table_index(address, 1)];
}

// The last-level table that covers address, or null; returns where the next table (or hole) begins.
std::uint64_t PageTable::find_leaf(std::uint64_t address, TablePage*& leaf) const {
  TablePage* at = &table(root_);
  for (int level = kLevels; level > 1; --level) {
    const Pte step = at->entries[table_index(address, level)];
    if (!step.present()) return address / entry_span(level) * entry_span(level) + entry_span(level);
    at = &table(step.pfn());
  }
  leaf = at;
  return address / table_span(1) * table_span(1) + table_span(1);
}

void PageTable::free_tables(std::uint64_t start, std::uint64_t end, std::uint64_t floor, std::uint64_t ceiling) {
  free_below(root_, kLevels, 0, start, end, floor, ceiling);
}

// Frees what hangs below a table of `level` that begins at `base`; true when the table itself can go.
bool PageTable::free_below(Pfn pfn, int level, std::uint64_t base, std::uint64_t start, std::uint64_t end,
                           std::uint64_t floor, std::uint64_t ceiling) {
  if (level > 1) {
    const std::uint64_t span = entry_span(level);
    const std::uint64_t from = start > base ? (start - base) / span : 0;
    const std::uint64_t last = end - base > span * kEntriesPerTable ? kEntriesPerTable : (end - base + span - 1) / span;
    for (std::uint64_t index = from; index < last; ++index) {
      Pte& entry = table(pfn).entries[index];
      if (!entry.present()) continue;
      const Pfn below = entry.pfn();
      if (!free_below(below, level - 1, base + index * span, start, end, floor, ceiling)) continue;
      entry = Pte{};
      if (level == 2) forget((base + index * span) / table_span(1));
      drop_table(below);
    }
  }
  return level < kLevels && floor <= base && base + table_span(level) <= ceiling;
}

void PageTable::count_below(Pfn pfn, int level, std::uint64_t& tables, std::uint64_t& entries) const {
  for (const Pte entry : table(pfn).entries) {
    if (entry.none()) continue;
    if (level == 1) {
      ++entries;
    } else {
      ++tables;
      FL_ASSERT(frames_.at(entry.pfn()).use == FrameUse::page_table);
      count_below(entry.pfn(), level - 1, tables, entries);
    }
  }
}

std::uint64_t PageTable::count_entries() const {
  std::uint64_t tables = 0;
  std::uint64_t entries = 0;
  count_below(root_, kLevels, tables, entries);
  return entries;
}

void PageTable::check_invariants() const {
  std::uint64_t tables = 0;
  std::uint64_t entries = 0;
  count_below(root_, kLevels, tables, entries);
  FL_ASSERT(tables == table_pages_);
  for (const CacheSlot& slot : cache_) {
    if (slot.table == nullptr) continue;
    const Pte* first = entry(Vpn(slot.region * kEntriesPerTable));
    FL_ASSERT(first == &slot.table->entries[0]);
  }
}

}  // namespace faultline::mm
