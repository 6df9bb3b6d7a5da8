// msync(2). Counterpart: mm/msync.c. Nothing here has a disk behind it: what is left is the answer.
#include "mm/space/address_space.h"

namespace faultline::mm {

Result<void, Errno> AddressSpace::msync(VirtAddr address, ByteCount length, MsyncFlags flags) {
  if ((flags & ~(kMsAsync | kMsInvalidate | kMsSync)) != 0 || !address.page_aligned()) return fail(Errno::inval);
  if ((flags & kMsAsync) != 0 && (flags & kMsSync) != 0) return fail(Errno::inval);
  const std::uint64_t end = address.value + page_ceil(length.value);
  if (end < address.value) return fail(Errno::nomem);
  // Holes are passed over and answered with ENOMEM at the end; MS_ASYNC alone, which does nothing, stops at the first.
  bool hole = false;
  for (std::uint64_t at = address.value; at < end;) {
    const Vma* vma = vmas_.find(at);
    if (vma == nullptr) return fail(Errno::nomem);
    if (vma->start > at) {
      if (flags == kMsAsync || vma->start >= end) return fail(Errno::nomem);
      hole = true;
    }
    if ((flags & kMsInvalidate) != 0 && (vma->flags & kVmLocked) != 0) return fail(Errno::busy);
    at = vma->end;
  }
  if (hole) return fail(Errno::nomem);
  return {};
}

}  // namespace faultline::mm
