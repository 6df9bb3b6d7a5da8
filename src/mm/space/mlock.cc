// mlock(2), mlock2, munlock, mlockall, munlockall. Counterpart: mm/mlock.c.
#include <algorithm>

#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {

// __mlock_posix_error_return(): POSIX wants ENOMEM for what cannot be accessed and EAGAIN for what cannot be locked.
Errno posix_error(Errno error) {
  if (error == Errno::fault) return Errno::nomem;
  return error == Errno::nomem ? Errno::again : error;
}

}  // namespace

// mlock_future_ok(): may `bytes` more be mapped with these flags?
bool AddressSpace::may_lock_more(VmFlags flags, std::uint64_t bytes) const {
  if ((flags & kVmLocked) == 0 || capabilities_.ipc_lock) return true;
  return mapped_.locked + (bytes >> kPageShift) <= limits_.memlock >> kPageShift;
}

std::uint64_t AddressSpace::locked_pages(std::uint64_t start, std::uint64_t end) const {
  std::uint64_t pages = 0;
  for (const Vma* vma = vmas_.find(start); vma != nullptr && vma->start < end; vma = vmas_.find(vma->end)) {
    if ((vma->flags & kVmLocked) == 0) continue;
    pages += (std::min(end, vma->end) - std::max(start, vma->start)) >> kPageShift;
  }
  return pages;
}

Result<void, Errno> AddressSpace::mlock2(VirtAddr address, ByteCount length, MlockFlags flags) {
  if ((flags & ~kMlockOnFault) != 0) return fail(Errno::inval);
  if (!may_lock()) return fail(Errno::perm);
  const std::uint64_t start = page_floor(address.value);
  const std::uint64_t bytes = page_ceil(length.value + (address.value - start));
  if (!capabilities_.ipc_lock) {
    const std::uint64_t limit = limits_.memlock >> kPageShift;
    std::uint64_t locked = mapped_.locked + (bytes >> kPageShift);
    if (locked > limit) locked -= locked_pages(start, start + bytes);
    if (locked > limit) return fail(Errno::nomem);
  }
  if (start + bytes < start) return fail(Errno::inval);
  FL_CHECK(lock_range(start, start + bytes, kVmLocked | ((flags & kMlockOnFault) != 0 ? kVmLockOnFault : 0)));
  auto populated = populate_range(start, start + bytes, false);
  if (!populated) return fail(posix_error(populated.error()));
  return {};
}

Result<void, Errno> AddressSpace::munlock(VirtAddr address, ByteCount length) {
  const std::uint64_t start = page_floor(address.value);
  const std::uint64_t bytes = page_ceil(length.value + (address.value - start));
  if (start + bytes < start) return fail(Errno::inval);
  return lock_range(start, start + bytes, 0);
}

// apply_vma_lock_flags(): a hole ends the call with ENOMEM; what lies before it stays done.
Result<void, Errno> AddressSpace::lock_range(std::uint64_t start, std::uint64_t end, VmFlags lock) {
  for (std::uint64_t at = start; at < end;) {
    Vma* vma = vmas_.containing(at);
    if (vma == nullptr) return fail(Errno::nomem);
    const std::uint64_t to = std::min(end, vma->end);
    FL_CHECK(lock_vma(*vma, at, to, lock));
    at = to;
  }
  return {};
}

// mlock_fixup().
Result<void, Errno> AddressSpace::lock_vma(Vma& vma, std::uint64_t start, std::uint64_t end, VmFlags lock) {
  const VmFlags old = vma.flags;
  const VmFlags flags = (old & ~kVmLockedMask) | lock;
  if (flags == old || (old & (kVmSpecial | kVmDroppable)) != 0) return {};
  FL_CHECK(modify(vma, start, end, flags));
  const std::uint64_t pages = (end - start) >> kPageShift;
  if ((old & kVmLocked) != 0) {
    mapped_.locked -= pages;
    if ((flags & kVmLocked) == 0) {  // munlock_folio()
      table_.for_each(start, end, [this](std::uint64_t, const Pte& pte) {
        if (pte.maps_frame()) frames_.at(pte.pfn()).left_locked = false;
      });
    }
  }
  if ((flags & kVmLocked) != 0) mapped_.locked += pages;
  return {};
}

Result<void, Errno> AddressSpace::mlockall(MlockallFlags flags) {
  if (flags == 0 || (flags & ~(kMclCurrent | kMclFuture | kMclOnFault)) != 0 || flags == kMclOnFault) {
    return fail(Errno::inval);
  }
  if (!may_lock()) return fail(Errno::perm);
  const bool current = (flags & kMclCurrent) != 0;
  if (current && !capabilities_.ipc_lock && mapped_.total > limits_.memlock >> kPageShift) return fail(Errno::nomem);
  lock_all(flags);
  if (current) (void)populate_range(0, profile_.task_end, true);
  return {};
}

Result<void, Errno> AddressSpace::munlockall() {
  lock_all(0);
  return {};
}

// apply_mlockall_flags(): mappings that cannot be split or merged for want of room are left as they are.
void AddressSpace::lock_all(MlockallFlags flags) {
  const VmFlags lock = kVmLocked | ((flags & kMclOnFault) != 0 ? kVmLockOnFault : 0);
  default_flags_ &= ~kVmLockedMask;
  if ((flags & kMclFuture) != 0) {
    default_flags_ |= lock;
    if ((flags & kMclCurrent) == 0) return;
  }
  const VmFlags wanted = (flags & kMclCurrent) != 0 ? lock : 0;
  std::uint64_t at = 0;
  while (Vma* vma = vmas_.find(at)) {
    at = vma->end;
    (void)lock_vma(*vma, vma->start, vma->end, wanted);
  }
}

}  // namespace faultline::mm
