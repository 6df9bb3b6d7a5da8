// munmap(2), and how pages leave. Counterpart: do_vmi_munmap(), unmap_region(), zap_pte_range().
#include <algorithm>

#include "mm/backing/file_object.h"
#include "mm/backing/swap_space.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

Result<void, Errno> AddressSpace::munmap(VirtAddr address, ByteCount length) {
  const std::uint64_t start = address.value;
  if (!address.page_aligned() || start > profile_.task_end || length.value > profile_.task_end - start) {
    return fail(Errno::inval);
  }
  const std::uint64_t end = start + page_ceil(length.value);
  if (end == start) return fail(Errno::inval);
  return unmap_range(start, end);
}

Result<void, Errno> AddressSpace::unmap_range(std::uint64_t start, std::uint64_t end) {
  Vma* first = vmas_.find(start);
  if (first == nullptr || first->start >= end) return {};
  // A hole punched into one mapping leaves one mapping more.
  if (start > first->start && end < first->end && vmas_.size() >= profile_.max_map_count) return fail(Errno::nomem);

  std::uint64_t at = start;
  for (Vma* vma = first; vma != nullptr && vma->start < end; vma = vmas_.find(at)) {
    const std::uint64_t from = std::max(at, vma->start);
    const std::uint64_t to = std::min(end, vma->end);
    zap(*vma, from, to);
    count_unmapped(*vma, (to - from) >> kPageShift);
    const Vma old = *vma;
    if (from == old.start && to == old.end) {
      vmas_.erase(old.start);
    } else if (from == old.start) {
      vma->pgoff = old.pgoff_at(to);
      vmas_.resize(*vma, to, old.end);
    } else {
      vmas_.resize(*vma, old.start, from);
      if (to < old.end) {
        Vma upper = old;
        upper.start = to;
        upper.pgoff = old.pgoff_at(to);
        vmas_.insert(upper);
      }
    }
    at = to;
    if (at >= end) break;
  }
  const Vma* prev = vmas_.before(end);
  const Vma* next = vmas_.find(end);
  const std::uint64_t floor = prev != nullptr ? prev->end : 0;
  const std::uint64_t ceiling = next != nullptr ? next->start : ~std::uint64_t{0};
  table_.free_tables(start, end, floor, ceiling);
  return {};
}

// Gives back every frame of [start, end), a part of vma. Advice leaves guard markers where they are.
void AddressSpace::zap(const Vma& vma, std::uint64_t start, std::uint64_t end, bool keep_guards) {
  split_huge_at(start, end);
  table_.for_each(start, end, [&](std::uint64_t at, Pte& pte) {
    if (!keep_guards || !pte.guard()) drop_entry(vma, pte, {this, VirtAddr(at).vpn()});
  });
}

void AddressSpace::drop_entry(const Vma& vma, Pte& pte, FrameUser user) {
  if (pte.maps_frame()) {
    const Pfn pfn = pte.pfn();
    const Frame& frame = frames_.at(pfn);
    if (frame.use == FrameUse::file && frame.file != nullptr) {
      if (pte.dirty()) frame.file->set_dirty(frame.index, true);
      if (pte.accessed() && frames_.observer() != nullptr) frames_.observer()->on_marked_accessed(pfn);
    }
    --statistics_.of(vma.tag).resident(frame.use);
    --statistics_.resident_pages;
    const bool in_swap_cache = frame.swap_cache;
    frames_.unmap(pfn, user);
    if (in_swap_cache) frames_.swap()->drop_if_unused(pfn);
  } else if (pte.swap()) {
    --statistics_.of(vma.tag).swapped_pages;
    frames_.swap()->drop_entry(pte.swap_slot());
  }
  pte = Pte{};
}

}  // namespace faultline::mm
