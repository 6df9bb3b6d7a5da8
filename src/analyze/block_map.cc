#include "analyze/block_map.h"

#include <algorithm>
#include <bit>

#include "base/assert.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

std::size_t spread(std::uint64_t key) {
  key *= 0x9e3779b97f4a7c15u;
  return static_cast<std::size_t>(key ^ (key >> 32));
}

constexpr unsigned kGranuleShift = 3;

// Blocks of the same 512 bytes get neighbouring homes (a glibc chunk has at least 32 bytes): programs allocate and free
// neighbours one after the other, and a table of millions of blocks is paid in cache and TLB misses.
std::size_t home_of(std::uint64_t address) { return (spread(address >> 9) << 4) + (address >> 5 & 15); }

}  // namespace

BlockMap::BlockMap() : slots_(1024), pages_(256) {}

std::size_t BlockMap::slot_of(std::uint64_t address) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t i = home_of(address) & mask;
  while (slots_[i].address != 0 && slots_[i].address != address) i = (i + 1) & mask;
  return i;
}

void BlockMap::grow_slots() {
  std::vector<Block> old(slots_.size() * 2);
  old.swap(slots_);
  for (const Block& block : old) {
    if (block.address != 0) slots_[slot_of(block.address)] = block;
  }
}

void BlockMap::grow_pages() {
  std::vector<PageStarts> old(pages_.size() * 2);
  old.swap(pages_);
  const std::size_t mask = pages_.size() - 1;
  for (const PageStarts& page : old) {
    if (page.vpn == 0) continue;
    std::size_t i = spread(page.vpn) & mask;
    while (pages_[i].vpn != 0) i = (i + 1) & mask;
    pages_[i] = page;
  }
}

const BlockMap::PageStarts* BlockMap::find_page(std::uint64_t vpn) const {
  const std::size_t mask = pages_.size() - 1;
  std::size_t i = spread(vpn + 1) & mask;
  while (pages_[i].vpn != 0) {
    if (pages_[i].vpn == vpn + 1) return &pages_[i];
    i = (i + 1) & mask;
  }
  return nullptr;
}

BlockMap::PageStarts* BlockMap::page(std::uint64_t vpn, bool create) {
  if (create && (pages_used_ + 1) * 10 > pages_.size() * 7) grow_pages();
  const std::size_t mask = pages_.size() - 1;
  std::size_t i = spread(vpn + 1) & mask;
  while (pages_[i].vpn != 0) {
    if (pages_[i].vpn == vpn + 1) return &pages_[i];
    i = (i + 1) & mask;
  }
  if (!create) return nullptr;
  pages_[i].vpn = vpn + 1;
  ++pages_used_;
  return &pages_[i];
}

bool BlockMap::insert(const Block& block, Block* replaced) {
  FL_ASSERT(block.address != 0);
  if ((used_ + 1) * 2 > slots_.size()) grow_slots();  // erase looks at the followers: keep runs short
  Block& slot = slots_[slot_of(block.address)];
  const bool occupied = slot.address != 0;
  if (occupied) {
    if (replaced != nullptr) *replaced = slot;
    large_.erase(block.address);
  } else {
    ++used_;
    const std::uint64_t granule = (block.address & (kPageSize - 1)) >> kGranuleShift;
    page(block.address >> kPageShift, true)->bits[granule >> 6] |= std::uint64_t{1} << (granule & 63);
  }
  slot = block;
  if (block.bytes >= kPageSize) large_[block.address] = block.end();
  return occupied;
}

bool BlockMap::erase(std::uint64_t address, Block* erased) {
  const std::size_t mask = slots_.size() - 1;
  std::size_t hole = slot_of(address);
  if (slots_[hole].address == 0) return false;
  if (erased != nullptr) *erased = slots_[hole];
  if (slots_[hole].bytes >= kPageSize) large_.erase(address);
  const std::uint64_t granule = (address & (kPageSize - 1)) >> kGranuleShift;
  PageStarts* starts = page(address >> kPageShift, false);
  FL_ASSERT(starts != nullptr);
  starts->bits[granule >> 6] &= ~(std::uint64_t{1} << (granule & 63));
  --used_;
  // Backward-shift deletion: move every follower that its home slot still reaches.
  for (std::size_t next = (hole + 1) & mask; slots_[next].address != 0; next = (next + 1) & mask) {
    const std::size_t home = home_of(slots_[next].address) & mask;
    if (((next - home) & mask) >= ((next - hole) & mask)) {
      slots_[hole] = slots_[next];
      hole = next;
    }
  }
  slots_[hole] = Block{};
  return true;
}

const Block* BlockMap::at(std::uint64_t address) const {
  if (address == 0) return nullptr;
  const Block& slot = slots_[slot_of(address)];
  return slot.address != 0 ? &slot : nullptr;
}

const Block* BlockMap::containing(std::uint64_t address) const {
  // The last start in [page, limit] of one page; 0 if there is none.
  const auto last_start = [this](std::uint64_t vpn, std::uint64_t granule) -> std::uint64_t {
    const PageStarts* starts = find_page(vpn);
    if (starts == nullptr) return 0;
    std::size_t word = granule >> 6;
    std::uint64_t bits = starts->bits[word] & (~std::uint64_t{0} >> (63 - (granule & 63)));
    while (bits == 0 && word > 0) bits = starts->bits[--word];
    if (bits == 0) return 0;
    const std::uint64_t at = word * 64 + 63 - static_cast<std::uint64_t>(std::countl_zero(bits));
    return (vpn << kPageShift) + (at << kGranuleShift);
  };
  const std::uint64_t vpn = address >> kPageShift;
  std::uint64_t start = last_start(vpn, (address & (kPageSize - 1)) >> kGranuleShift);
  if (start == 0 && vpn > 0) start = last_start(vpn - 1, 511);
  if (start != 0) {
    const Block* block = at(start);
    FL_ASSERT(block != nullptr);
    if (address < block->end()) return block;
  }
  // Blocks are disjoint, so a start between a large block and the address would have ended it; a damaged recording may
  // still overlap them, and then the nearest start wins above.
  auto large = large_.upper_bound(address);
  if (large == large_.begin()) return nullptr;
  --large;
  return address < large->second ? at(large->first) : nullptr;
}

std::vector<Block> BlockMap::sorted() const {
  std::vector<Block> blocks;
  blocks.reserve(used_);
  for (const Block& block : slots_) {
    if (block.address != 0) blocks.push_back(block);
  }
  std::sort(blocks.begin(), blocks.end(), [](const Block& x, const Block& y) { return x.address < y.address; });
  return blocks;
}

void BlockMap::check_invariants() const {
  std::size_t count = 0, large = 0, bits = 0;
  for (const Block& block : slots_) {
    if (block.address == 0) continue;
    ++count;
    large += block.bytes >= kPageSize;
    FL_ASSERT(at(block.address) == &block);
  }
  for (const PageStarts& page : pages_) {
    for (const std::uint64_t word : page.bits) bits += static_cast<std::size_t>(std::popcount(word));
  }
  FL_ASSERT(count == used_ && bits == used_ && large == large_.size());
}

}  // namespace faultline::analyze
