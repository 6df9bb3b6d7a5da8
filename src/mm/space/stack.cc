// Mappings that grow down. Counterpart: lock_mm_and_find_vma(), expand_downwards(), acct_stack_growth() (mm/mmap.c,
// mm/vma.c).
#include "mm/space/address_space.h"

namespace faultline::mm {

// The mapping above an address that nothing covers may be a stack that grows to it.
Vma* AddressSpace::expand_stack(std::uint64_t address) {
  Vma* vma = vmas_.find(address);
  if (vma == nullptr || (vma->flags & kVmGrowsDown) == 0) return nullptr;
  const std::uint64_t start = page_floor(address);
  if (start < profile_.mmap_min_addr) return nullptr;
  // Only a mapping that can be accessed and is no stack itself is kept at a distance.
  const Vma* prev = vmas_.before(vma->start);
  const std::uint64_t guard = profile_.stack_guard_gap_pages << kPageShift;
  if (prev != nullptr && (prev->flags & kVmGrowsDown) == 0 && prev->accessible() && start - prev->end < guard) return nullptr;
  // Before anything can refuse: a stack that may not grow has an anon_vma afterwards all the same, which decides merges.
  if (vma->anon_vma == nullptr) prepare_anon_vma(*vma);
  const std::uint64_t grow = (vma->start - start) >> kPageShift;
  if (grow > vma->pgoff || !may_grow_stack(*vma, vma->end - start, grow)) return nullptr;
  vma->pgoff -= grow;
  count_mapped(*vma, grow);
  vmas_.resize(*vma, start, vma->end);
  return vma;
}

// size: bytes afterwards; grow: pages.
bool AddressSpace::may_grow_stack(const Vma& vma, std::uint64_t size, std::uint64_t grow) {
  if (!may_expand(vma.flags, grow) || size > limits_.stack) return false;
  if (!may_lock_more(vma.flags, grow << kPageShift)) return false;
  // Charged whether the mapping is accounted or not; what was charged for one that is not never comes back.
  return charge(grow);
}

}  // namespace faultline::mm
