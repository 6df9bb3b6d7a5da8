#include "mm/machine/smaps_counts.h"

namespace faultline::mm {

// smaps_pte_range(), smaps_account(): pages with a frame, those of PROT_NONE mappings too; the zero page is nobody's.
void SmapsCounts::add(const AddressSpace& space, const Vma& vma) {
  const FrameTable& frames = space.page_table().frames();
  space.page_table().for_each(vma.start, vma.end, [&](std::uint64_t, const Pte& pte) {
    if (!pte.maps_frame()) return;
    const Frame& frame = frames.at(pte.pfn());
    const bool anon = frame.use == FrameUse::anonymous;
    const bool shared = frame.users > 1;
    const std::uint64_t share = (kPageSize << 12) / frame.users;
    resident += kPageSize;
    if (anon) anonymous += kPageSize;
    if (anon && frame.lazy_free && !pte.dirty()) lazy_free += kPageSize;
    if (anon && pte.huge()) anonymous_huge += kPageSize;
    if (pte.accessed()) referenced += kPageSize;
    (shared ? (pte.dirty() ? shared_dirty : shared_clean) : (pte.dirty() ? private_dirty : private_clean)) += kPageSize;
    pss += share;
    (anon ? pss_anonymous : (frame.use == FrameUse::shmem ? pss_shmem : pss_file)) += share;
    if (pte.dirty()) pss_dirty += share;
    if ((vma.flags & kVmLocked) != 0) pss_locked += share;
  });
}

}  // namespace faultline::mm
