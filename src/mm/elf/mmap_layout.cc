#include "mm/elf/mmap_layout.h"

#include <algorithm>

namespace faultline::mm::elf {

AddressSpace::Layout layout_at_start(const KernelProfile& profile, const ResourceLimits& limits, bool set_id) {
  std::uint64_t gap = limits.stack;
  if (set_id) gap = std::min(gap, profile.secure_stack_limit);
  const std::uint64_t guard = profile.stack_guard_gap_pages << kPageShift;
  if (gap + guard > gap) gap += guard;  // an unlimited stack stays what it is
  gap = std::clamp(gap, profile.mmap_gap_min, profile.task_end / 6 * 5);
  AddressSpace::Layout layout;
  layout.start_brk = VirtAddr(0);
  layout.mmap_base = VirtAddr(page_ceil(profile.task_end - gap));
  return layout;
}

}  // namespace faultline::mm::elf
