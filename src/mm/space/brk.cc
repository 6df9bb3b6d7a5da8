// brk(2). Counterpart: SYSCALL_DEFINE1(brk) and do_brk_flags() (mm/mmap.c, mm/vma.c).
#include "mm/space/address_space.h"

namespace faultline::mm {

VirtAddr AddressSpace::brk(VirtAddr requested) {
  const std::uint64_t wanted = requested.value;
  const std::uint64_t lowest = layout_.start_brk.value;
  if (wanted < lowest || wanted >= profile_.task_end) return VirtAddr(brk_);
  if (limits_.data != kUnlimited && wanted - lowest + layout_.data_length.value > limits_.data) return VirtAddr(brk_);
  const std::uint64_t old_end = page_ceil(brk_);
  const std::uint64_t new_end = page_ceil(wanted);
  if (new_end < old_end) {
    const Vma* vma = vmas_.find(new_end);
    if (vma == nullptr || vma->start >= old_end) return VirtAddr(brk_);
    if (!unmap_range(new_end, old_end)) return VirtAddr(brk_);
  } else if (new_end > old_end) {
    if (!expand_brk(old_end, new_end)) return VirtAddr(brk_);
  }
  brk_ = wanted;
  if (new_end > old_end && (default_flags_ & kVmLocked) != 0) (void)populate_range(old_end, new_end, true);
  return VirtAddr(brk_);
}

Result<void, Errno> AddressSpace::expand_brk(std::uint64_t start, std::uint64_t end) {
  // One page is kept free above the heap, and the guard gap below a stack.
  const Vma* next = vmas_.find(start);
  if (next != nullptr) {
    std::uint64_t limit = next->start;
    const std::uint64_t guard = profile_.stack_guard_gap_pages << kPageShift;
    if ((next->flags & kVmGrowsDown) != 0) limit = limit > guard ? limit - guard : 0;
    if (end + kPageSize > limit) return fail(Errno::nomem);
  }
  const VmFlags flags = kVmRead | kVmWrite | kVmAccount | default_flags_;
  if (!may_lock_more(flags, end - start)) return fail(Errno::again);
  if (!may_expand(flags, (end - start) >> kPageShift)) return fail(Errno::nomem);
  if (vmas_.size() > profile_.max_map_count) return fail(Errno::nomem);
  if (!charge((end - start) >> kPageShift)) return fail(Errno::nomem);
  Vma vma;
  vma.start = start;
  vma.end = end;
  vma.pgoff = start >> kPageShift;
  vma.flags = flags;
  vma.tag = VmaTag::heap;
  // A heap that begins does not join what lies below it, also where that is data like it.
  if (start > layout_.start_brk.value) {
    add_mapping(vma, true);
  } else {
    vmas_.insert(vma);
    count_mapped(vma, vma.pages());
  }
  return {};
}

}  // namespace faultline::mm
