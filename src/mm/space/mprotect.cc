// mprotect(2). Counterpart: do_mprotect_pkey(), mprotect_fixup(), change_pte_range() (mm/mprotect.c).
#include <algorithm>

#include "mm/backing/open_file.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

Result<void, Errno> AddressSpace::mprotect(VirtAddr address, ByteCount length, Prot prot) {
  const Prot grows = prot & (kProtGrowsDown | kProtGrowsUp);
  prot &= ~(kProtGrowsDown | kProtGrowsUp);
  if (grows == (kProtGrowsDown | kProtGrowsUp)) return fail(Errno::inval);
  if (!address.page_aligned()) return fail(Errno::inval);
  if (length.value == 0) return {};
  std::uint64_t start = address.value;
  const std::uint64_t end = start + page_ceil(length.value);
  if (end <= start) return fail(Errno::nomem);
  if ((prot & ~(kProtRead | kProtWrite | kProtExec | kProtSem)) != 0) return fail(Errno::inval);
  prot &= ~kProtSem;
  static_assert(kVmRead == kProtRead && kVmWrite == kProtWrite && kVmExec == kProtExec);

  Vma* vma = vmas_.find(start);
  if (vma == nullptr || vma->start >= end) return fail(Errno::nomem);
  if (grows == kProtGrowsDown) {  // from the start of the stack on, wherever that is
    start = vma->start;
    if ((vma->flags & kVmGrowsDown) == 0) return fail(Errno::inval);
  } else {
    if (vma->start > start) return fail(Errno::nomem);
    if (grows == kProtGrowsUp) return fail(Errno::inval);  // nothing grows up on x86
  }
  // Mappings before a hole keep their new protection although the call fails: Linux does not undo.
  std::uint64_t at = start;
  while (at < end) {
    vma = vmas_.find(at);
    if (vma == nullptr || vma->start > at) return fail(Errno::nomem);
    const std::uint64_t to = std::min(end, vma->end);
    FL_CHECK(protect_vma(*vma, at, to, (vma->flags & ~kVmAccess) | prot));
    at = to;
  }
  return {};
}

// mprotect_fixup().
Result<void, Errno> AddressSpace::protect_vma(Vma& vma, std::uint64_t start, std::uint64_t end, VmFlags flags) {
  const VmFlags old = vma.flags;
  if ((flags & kVmWrite) != 0 && (flags & kVmNeverWrite) != 0) return fail(Errno::acces);
  if (flags == old) return {};
  const std::uint64_t pages = (end - start) >> kPageShift;
  std::uint64_t charged = 0;
  if ((flags & kVmWrite) != 0) {
    if (!may_expand(flags, pages) && may_expand(old, pages)) return fail(Errno::nomem);
    if ((old & (kVmAccount | kVmWrite | kVmShared | kVmNoReserve)) == 0) {
      if (!charge(pages)) return fail(Errno::nomem);
      charged = pages;
      flags |= kVmAccount;
    }
  } else if ((old & kVmAccount) != 0 && vma.anonymous() && vma.anon_vma == nullptr) {
    flags &= ~kVmAccount;  // nothing was ever written: what was promised is not needed
  }
  if (auto done = modify(vma, start, end, flags); !done) {
    frames_.commit().uncharge(charged);
    return done;
  }
  change_protection(*vmas_.containing(start), start, end);
  if ((old & kVmAccount) != 0 && (flags & kVmAccount) == 0) frames_.commit().uncharge(pages);
  // Locked memory that becomes writable is copied now, not at the first write.
  if ((old & (kVmWrite | kVmShared | kVmLocked)) == kVmLocked && (flags & kVmWrite) != 0) (void)populate_vma(start, end);
  mapped_.remove(old, pages);
  mapped_.add(flags, pages);
  return {};
}

void AddressSpace::change_protection(const Vma& vma, std::uint64_t start, std::uint64_t end) {
  const bool upgrade = vma.writable() && profile_.mprotect_upgrades_ptes;
  table_.for_each(start, end, [&](std::uint64_t, Pte& pte) {
    if (pte.guard() || pte.swap()) return;
    const std::uint64_t kept = pte.bits & (Pte::kFrameMask | Pte::kAccessed | Pte::kDirty | Pte::kZeroPage | Pte::kHuge);
    // A page that a fork left shared stays read-only: only a write fault finds out whether anyone else still has it.
    const bool anonymous = !pte.zero_page() && frames_.at(pte.pfn()).use == FrameUse::anonymous;
    const bool own = anonymous && frames_.at(pte.pfn()).exclusive;
    // Shared memory needs no notice of writes, a disk's page does unless it is dirty already (vma_wants_writenotify()).
    const bool shared = !anonymous && !pte.zero_page() && (vma.flags & kVmShared) != 0;
    const bool noticed = shared && vma.backing != nullptr && !vma.backing->object().shmem() && !pte.dirty();
    const bool shmem = shared && frames_.at(pte.pfn()).use == FrameUse::shmem;
    pte.bits = kept | entry_flags(vma, (upgrade && (own || (shared && !noticed))) || (vma.writable() && shmem));
  });
}

}  // namespace faultline::mm
