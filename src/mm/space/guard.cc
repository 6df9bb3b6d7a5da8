// MADV_GUARD_INSTALL and MADV_GUARD_REMOVE: pages that answer every access with SIGSEGV without a mapping of their own.
// Counterpart: madvise_guard_install(), madvise_guard_remove() (mm/madvise.c, since 6.13).
#include "mm/space/address_space.h"

namespace faultline::mm {

// What lies in the range is given up. The mapping counts as faulted in: a fork has to copy the markers.
Result<void, Errno> AddressSpace::install_guards(Vma& vma, std::uint64_t start, std::uint64_t end) {
  if ((vma.flags & (kVmSpecial | kVmLocked)) != 0) return fail(Errno::inval);
  vma.flags |= kVmMaybeGuard;
  if (vma.anon_vma == nullptr) prepare_anon_vma(vma);
  zap(vma, start, end);
  for (std::uint64_t at = start; at < end; at += kPageSize) {
    Pte* pte = table_.make_entry(VirtAddr(at).vpn());
    if (pte == nullptr) return fail(Errno::nomem);
    *pte = Pte{Pte::kGuard};
  }
  table_.note_change();
  return {};
}

void AddressSpace::remove_guards(std::uint64_t start, std::uint64_t end) {
  table_.for_each(start, end, [](std::uint64_t, Pte& pte) {
    if (pte.guard()) pte = Pte{};
  });
}

}  // namespace faultline::mm
