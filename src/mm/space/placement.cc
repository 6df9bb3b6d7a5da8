// Where a new mapping goes. Counterpart: __get_unmapped_area(), arch_get_unmapped_area_topdown(), vm_unmapped_area()
// and thp_get_unmapped_area() (mm/mmap.c, arch/x86/kernel/sys_x86_64.c, mm/huge_memory.c).
#include <algorithm>

#include "mm/space/address_space.h"

namespace faultline::mm {

std::optional<std::uint64_t> AddressSpace::free_area(std::uint64_t hint, std::uint64_t length, MapFlags flags) const {
  if (length > profile_.task_end) return std::nullopt;
  if ((flags & kMap32Bit) != 0) return free_area_32bit(hint, length);
  const std::uint64_t guard = profile_.stack_guard_gap_pages << kPageShift;
  if (hint != 0 && hint <= profile_.task_end - length) {
    const Vma* vma = vmas_.find(hint);
    if (vma == nullptr) return hint;
    const std::uint64_t limit = (vma->flags & kVmGrowsDown) != 0 ? vma->start - std::min(vma->start, guard) : vma->start;
    if (hint + length <= limit) return hint;
  }
  const std::uint64_t floor = (flags & kMapAbove4G) != 0 ? std::max(layout_.mmap_floor.value, std::uint64_t{1} << 32)
                                                         : layout_.mmap_floor.value;
  if (auto found = vmas_.highest_gap(length, floor, layout_.mmap_base.value, guard)) return found;
  // Top-down failed, as with an enormous stack limit: bottom-up from a third of the address space.
  return vmas_.lowest_gap(length, page_ceil(profile_.task_end / 3), profile_.task_end, guard);
}

// MAP_32BIT: the lowest gap of the second GiB, so that 31-bit pointers reach it. (With address randomization Linux
// starts a random distance above.)
std::optional<std::uint64_t> AddressSpace::free_area_32bit(std::uint64_t hint, std::uint64_t length) const {
  constexpr std::uint64_t begin = 0x4000'0000;
  constexpr std::uint64_t end = 0x8000'0000;
  if (length > end) return std::nullopt;
  const std::uint64_t guard = profile_.stack_guard_gap_pages << kPageShift;
  if (hint != 0 && hint <= end - length) {
    const Vma* vma = vmas_.find(hint);
    if (vma == nullptr) return hint;
    const std::uint64_t limit = (vma->flags & kVmGrowsDown) != 0 ? vma->start - std::min(vma->start, guard) : vma->start;
    if (hint + length <= limit) return hint;
  }
  return vmas_.lowest_gap(length, begin, end, guard);
}

// __thp_get_unmapped_area(): who is placed so that huge pages could map it. Anonymous memory of whole huge pages without a
// hint, and a file that covers a whole huge page, if its file system asks for it (f_op->get_unmapped_area).
std::optional<std::uint64_t> AddressSpace::huge_offset(std::uint64_t hint, std::uint64_t length, bool anonymous,
                                                       bool file_aligns, std::uint64_t file_offset) const {
  const std::uint64_t huge = profile_.huge_page_size;
  if (anonymous) {
    return profile_.aligns_huge_anonymous_maps && hint == 0 && length % huge == 0 ? std::optional<std::uint64_t>(0) : std::nullopt;
  }
  if (!file_aligns) return std::nullopt;
  const std::uint64_t end = file_offset + length;
  const std::uint64_t aligned = (file_offset + huge - 1) / huge * huge;
  if (end <= aligned || end - aligned < huge || file_offset + length + huge < file_offset) return std::nullopt;
  return file_offset;
}

Result<std::uint64_t, Errno> AddressSpace::unmapped_area(std::uint64_t hint, std::uint64_t length, MapFlags flags,
                                                         std::optional<std::uint64_t> huge_offset) const {
  if (length > profile_.task_end) return fail(Errno::nomem);
  std::optional<std::uint64_t> found;
  if ((flags & kMapFixed) != 0) {
    found = hint;
  } else if (const std::uint64_t huge = profile_.huge_page_size;
             huge_offset.has_value()) {
    // Ask for one huge page more and take the part of it that is aligned as the offset is. A hint that is free wins.
    if (auto padded = free_area(hint, length + huge, flags)) {
      const std::uint64_t distance = (*huge_offset - *padded) % huge;
      found = *padded + (hint != 0 && *padded == hint ? 0 : (distance != 0 ? distance : huge));
    }
  }
  if (!found) found = free_area(hint, length, flags);
  if (!found || *found > profile_.task_end - length) return fail(Errno::nomem);
  if (page_floor(*found) != *found) return fail(Errno::inval);
  if (*found < profile_.dac_mmap_min_addr && !capabilities_.sys_rawio) return fail(Errno::perm);
  return *found;
}

}  // namespace faultline::mm
