// Faults taken in advance, for MAP_POPULATE, mlock and growing locked mappings.
// Counterpart: __mm_populate() and populate_vma_page_range() (mm/gup.c).
#include <algorithm>

#include "base/assert.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

// [start, end) lies in one mapping. Write faults where it is private and writable, else read faults; they count as the
// process's minor faults like any other. EFAULT: PROT_NONE or a guard; ENOMEM: no frame.
Result<void, Errno> AddressSpace::populate_vma(std::uint64_t start, std::uint64_t end) {
  const Vma* vma = vmas_.containing(start);
  FL_ASSERT(vma != nullptr && end <= vma->end);
  if ((vma->flags & kVmLockOnFault) != 0) return {};
  if (!vma->accessible()) return fail(Errno::fault);
  const bool write = (vma->flags & (kVmWrite | kVmShared)) == kVmWrite;
  const OriginScope origin(fault_origin_, FaultOrigin::populate);
  for (std::uint64_t at = start; at < end; at += kPageSize) {
    const Access met = access(VirtAddr(at), write);
    if (refused(met)) return fail(met == Access::out_of_memory ? Errno::nomem : Errno::fault);
  }
  return {};
}

// Holes are passed over. An error ends the mapping it met; the call as well, unless it is told to ignore errors.
Result<void, Errno> AddressSpace::populate_range(std::uint64_t start, std::uint64_t end, bool ignore_errors) {
  for (std::uint64_t at = start; at < end;) {
    const Vma* vma = vmas_.find(at);
    if (vma == nullptr || vma->start >= end) break;
    const std::uint64_t from = std::max(at, vma->start);
    const std::uint64_t to = std::min(end, vma->end);
    at = to;
    if ((vma->flags & (kVmIo | kVmPfnMap)) != 0) continue;
    auto done = populate_vma(from, to);
    if (!done && !ignore_errors) return done;
  }
  return {};
}

}  // namespace faultline::mm
