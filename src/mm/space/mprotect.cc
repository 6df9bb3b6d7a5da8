// mprotect(2). Counterpart: do_mprotect_pkey(), mprotect_fixup(), change_pte_range() (mm/mprotect.c).
#include <algorithm>

#include "mm/space/address_space.h"

namespace faultline::mm {

Result<void, Errno> AddressSpace::mprotect(VirtAddr address, ByteCount length, Prot prot) {
  if (!address.page_aligned()) return fail(Errno::inval);
  if (length.value == 0) return {};
  const std::uint64_t start = address.value;
  const std::uint64_t end = start + page_ceil(length.value);
  if (end <= start) return fail(Errno::nomem);
  if ((prot & ~(kProtRead | kProtWrite | kProtExec)) != 0) return fail(Errno::inval);
  static_assert(kVmRead == kProtRead && kVmWrite == kProtWrite && kVmExec == kProtExec);

  Vma* vma = vmas_.find(start);
  if (vma == nullptr || vma->start > start) return fail(Errno::nomem);
  // Mappings before a hole keep their new protection although the call fails: Linux does not undo.
  std::uint64_t at = start;
  while (at < end) {
    vma = vmas_.find(at);
    if (vma == nullptr || vma->start > at) return fail(Errno::nomem);
    const std::uint64_t to = std::min(end, vma->end);
    VmFlags flags = (vma->flags & ~kVmAccess) | prot;
    if (flags != vma->flags) {
      if ((flags & kVmWrite) != 0) {
        const std::uint64_t pages = (to - at) >> kPageShift;
        if (!may_expand(flags, pages) && may_expand(vma->flags, pages)) return fail(Errno::nomem);
        if ((vma->flags & (kVmAccount | kVmWrite | kVmShared | kVmNoReserve)) == 0) flags |= kVmAccount;
      } else if ((vma->flags & kVmAccount) != 0 && vma->anonymous() && vma->anon_vma == nullptr) {
        flags &= ~kVmAccount;
      }
      FL_CHECK(modify(*vma, at, to, flags));
      change_protection(*vmas_.containing(at), at, to);
    }
    at = to;
  }
  return {};
}

void AddressSpace::change_protection(const Vma& vma, std::uint64_t start, std::uint64_t end) {
  const bool upgrade = vma.writable() && profile_.mprotect_upgrades_ptes;
  table_.for_each(start, end, [&](std::uint64_t, Pte& pte) {
    const std::uint64_t kept = pte.bits & (Pte::kFrameMask | Pte::kAccessed | Pte::kDirty | Pte::kZeroPage);
    // A page that a fork left shared stays read-only: only a write fault finds out whether anyone else still has it.
    const bool anonymous = !pte.zero_page() && frames_.at(pte.pfn()).use == FrameUse::anonymous;
    const bool own = anonymous && frames_.at(pte.pfn()).exclusive;
    const bool shared_file = !anonymous && !pte.zero_page() && (vma.flags & kVmShared) != 0;
    pte.bits = kept | entry_flags(vma, upgrade && (own || shared_file));
  });
}

}  // namespace faultline::mm
