#include "mm/space/vma_tree.h"

#include <algorithm>

#include "base/assert.h"
#include "mm/backing/open_file.h"
#include "mm/space/anon_vma.h"

namespace faultline::mm {

namespace {
// A mapping that grows down needs room below itself (vm_start_gap()).
std::uint64_t guarded_start(const Vma& vma, std::uint64_t guard) {
  if ((vma.flags & kVmGrowsDown) == 0) return vma.start;
  return vma.start > guard ? vma.start - guard : 0;
}
}  // namespace

VmaTree::~VmaTree() {
  for_each([](const Vma& vma) { let_go(vma); });
}

void VmaTree::let_go(const Vma& vma) {
  release(vma.anon_vma);
  if (vma.backing != nullptr) vma.backing->release();
}

void VmaTree::set_anon_vma(Vma& vma, AnonChain* chain) {
  acquire(chain);
  release(vma.anon_vma);
  vma.anon_vma = chain;
}

std::size_t VmaTree::block_of(std::uint64_t address) const {
  const auto above = std::upper_bound(first_starts_.begin(), first_starts_.end(), address);
  return above == first_starts_.begin() ? 0 : static_cast<std::size_t>(above - first_starts_.begin()) - 1;
}

Vma* VmaTree::search(std::uint64_t address) {
  if (blocks_.empty()) return nullptr;
  const std::size_t at = block_of(address);
  Block& block = *blocks_[at];
  Vma* const begin = block.vmas.data();
  Vma* const found = std::partition_point(begin, begin + block.count, [&](const Vma& vma) { return vma.end <= address; });
  if (found != begin + block.count) return latest_ = found;
  return at + 1 < blocks_.size() ? &blocks_[at + 1]->vmas[0] : nullptr;
}

Vma* VmaTree::before(std::uint64_t address) {
  if (blocks_.empty() || address == 0) return nullptr;
  Block& block = *blocks_[block_of(address - 1)];
  Vma* const begin = block.vmas.data();
  Vma* const found = std::partition_point(begin, begin + block.count, [&](const Vma& vma) { return vma.start < address; });
  return found == begin ? nullptr : found - 1;
}

VmaTree::Position VmaTree::locate(const Vma& vma) const {
  const std::size_t at = block_of(vma.start);
  const std::ptrdiff_t index = &vma - blocks_[at]->vmas.data();
  FL_ASSERT(index >= 0 && static_cast<std::size_t>(index) < blocks_[at]->count);
  return {at, static_cast<std::size_t>(index)};
}

void VmaTree::bounds_changed(std::size_t block) {
  latest_ = nullptr;
  if (block < blocks_.size()) {
    first_starts_[block] = blocks_[block]->vmas[0].start;
    widest_gaps_[block] = kUnknownGap;
  }
  if (block + 1 < blocks_.size()) widest_gaps_[block + 1] = kUnknownGap;
}

void VmaTree::split_block(std::size_t at) {
  auto upper = std::make_unique<Block>();
  Block& lower = *blocks_[at];
  const std::size_t keep = lower.count / 2;
  upper->count = lower.count - keep;
  std::copy_n(lower.vmas.begin() + static_cast<std::ptrdiff_t>(keep), upper->count, upper->vmas.begin());
  lower.count = keep;
  const auto place = static_cast<std::ptrdiff_t>(at + 1);
  first_starts_.insert(first_starts_.begin() + place, upper->vmas[0].start);
  widest_gaps_.insert(widest_gaps_.begin() + place, kUnknownGap);
  blocks_.insert(blocks_.begin() + place, std::move(upper));
  widest_gaps_[at] = kUnknownGap;
}

Vma* VmaTree::insert(const Vma& vma) {
  FL_ASSERT(vma.start < vma.end && !overlaps(vma.start, vma.end));
  if (blocks_.empty()) {
    blocks_.push_back(std::make_unique<Block>());
    first_starts_.push_back(vma.start);
    widest_gaps_.push_back(kUnknownGap);
  }
  std::size_t at = block_of(vma.start);
  if (blocks_[at]->count == kBlockSize) {
    split_block(at);
    at = block_of(vma.start);
  }
  Block& block = *blocks_[at];
  Vma* const begin = block.vmas.data();
  Vma* const end = begin + block.count;
  Vma* const place = std::partition_point(begin, end, [&](const Vma& other) { return other.start < vma.start; });
  std::move_backward(place, end, end + 1);
  *place = vma;
  acquire(vma.anon_vma);
  if (vma.backing != nullptr) vma.backing->acquire();
  ++block.count;
  ++size_;
  bounds_changed(at);
  return place;
}

void VmaTree::erase(std::uint64_t start) {
  Vma* const vma = find(start);
  FL_ASSERT(vma != nullptr && vma->start == start);
  let_go(*vma);
  const Position at = locate(*vma);
  Block& block = *blocks_[at.block];
  std::move(vma + 1, block.vmas.data() + block.count, vma);
  --block.count;
  --size_;
  if (block.count == 0) {
    const auto place = static_cast<std::ptrdiff_t>(at.block);
    blocks_.erase(blocks_.begin() + place);
    first_starts_.erase(first_starts_.begin() + place);
    widest_gaps_.erase(widest_gaps_.begin() + place);
  }
  bounds_changed(at.block);
}

void VmaTree::resize(Vma& vma, std::uint64_t start, std::uint64_t end) {
  FL_ASSERT(start < end);
  const Position at = locate(vma);
  vma.start = start;
  vma.end = end;
  bounds_changed(at.block);
}

std::uint64_t VmaTree::end_before(std::size_t block) const {
  return block == 0 ? 0 : blocks_[block - 1]->vmas[blocks_[block - 1]->count - 1].end;
}

std::uint64_t VmaTree::widest_gap(std::size_t at) const {
  if (widest_gaps_[at] != kUnknownGap) return widest_gaps_[at];
  std::uint64_t end = end_before(at);
  std::uint64_t widest = 0;
  const Block& block = *blocks_[at];
  for (std::size_t i = 0; i < block.count; ++i) {
    widest = std::max(widest, block.vmas[i].start - end);
    end = block.vmas[i].end;
  }
  widest_gaps_[at] = widest;
  return widest;
}

std::optional<std::uint64_t> VmaTree::highest_gap(std::uint64_t length, std::uint64_t floor, std::uint64_t ceiling,
                                                  std::uint64_t guard) const {
  const auto fits = [&](std::uint64_t low, std::uint64_t high) -> std::optional<std::uint64_t> {
    low = std::max(low, floor);
    high = std::min(high, ceiling);
    if (high > low && high - low >= length) return high - length;
    return std::nullopt;
  };
  // The gap above the last mapping, then the gap before each mapping, highest first.
  if (blocks_.empty()) return fits(0, ceiling);
  if (auto found = fits(end_before(blocks_.size()), ceiling)) return found;
  // The block above may begin with a mapping whose gap starts below ceiling.
  for (std::size_t at = std::min(block_of(ceiling) + 2, blocks_.size()); at-- > 0;) {
    if (widest_gap(at) < length) continue;
    const Block& block = *blocks_[at];
    for (std::size_t i = block.count; i-- > 0;) {
      const std::uint64_t low = i > 0 ? block.vmas[i - 1].end : end_before(at);
      if (low >= ceiling) continue;
      if (auto found = fits(low, guarded_start(block.vmas[i], guard))) return found;
      if (low <= floor) return std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> VmaTree::lowest_gap(std::uint64_t length, std::uint64_t floor, std::uint64_t ceiling,
                                                 std::uint64_t guard) const {
  std::uint64_t low = floor;
  for (std::size_t at = blocks_.empty() ? 0 : block_of(floor); at < blocks_.size(); ++at) {
    const Block& block = *blocks_[at];
    for (std::size_t i = 0; i < block.count; ++i) {
      const std::uint64_t high = std::min(guarded_start(block.vmas[i], guard), ceiling);
      if (high > low && high - low >= length) return low;
      low = std::max(low, block.vmas[i].end);
      if (low >= ceiling) return std::nullopt;
    }
  }
  if (ceiling > low && ceiling - low >= length) return low;
  return std::nullopt;
}

void VmaTree::check_invariants() const {
  FL_ASSERT(blocks_.size() == first_starts_.size() && blocks_.size() == widest_gaps_.size());
  std::uint64_t seen = 0;
  std::uint64_t end = 0;
  for (std::size_t at = 0; at < blocks_.size(); ++at) {
    const Block& block = *blocks_[at];
    FL_ASSERT(block.count > 0 && block.count <= kBlockSize);
    FL_ASSERT(first_starts_[at] == block.vmas[0].start);
    std::uint64_t widest = 0;
    for (std::size_t i = 0; i < block.count; ++i) {
      const Vma& vma = block.vmas[i];
      FL_ASSERT(vma.start < vma.end && vma.start >= end);
      FL_ASSERT(page_floor(vma.start) == vma.start && page_floor(vma.end) == vma.end);
      widest = std::max(widest, vma.start - end);
      end = vma.end;
      ++seen;
    }
    FL_ASSERT(widest_gaps_[at] == kUnknownGap || widest_gaps_[at] == widest);
  }
  FL_ASSERT(seen == size_);
}

}  // namespace faultline::mm
