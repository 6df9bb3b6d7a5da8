// msync(2). Counterpart: mm/msync.c. MS_SYNC writes the file's pages, after which the next write to each faults again.
#include <algorithm>

#include "mm/backing/file_users.h"
#include "mm/backing/open_file.h"
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
    if ((flags & kMsSync) != 0 && vma->backing != nullptr && (vma->flags & kVmShared) != 0) {
      const std::uint64_t from = vma->pgoff_at(std::max(at, vma->start));
      write_back(frames_, vma->backing->object(), from, vma->pgoff_at(std::min(end, vma->end)),
                 [](const FrameUser& user) { user.space->clean_entry(user.vpn); });
    }
    at = vma->end;
  }
  if (hole) return fail(Errno::nomem);
  return {};
}

}  // namespace faultline::mm
