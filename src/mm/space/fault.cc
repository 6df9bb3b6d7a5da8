// Page faults. Counterpart: arch/x86/mm/fault.c and handle_mm_fault(), do_anonymous_page(), do_wp_page() (mm/memory.c).
#include <algorithm>

#include "base/assert.h"
#include "mm/space/address_space.h"
#include "mm/space/anon_vma.h"

namespace faultline::mm {

std::uint64_t AddressSpace::entry_flags(const Vma& vma, bool writable) {
  if (!vma.accessible()) return Pte::kProtNone;
  std::uint64_t flags = Pte::kPresent | Pte::kUser;
  if (writable && vma.writable()) flags |= Pte::kWritable;
  if ((vma.flags & kVmExec) == 0) flags |= Pte::kNoExecute;
  return flags;
}

Access AddressSpace::access_slowly(VirtAddr address, bool write) {
  const std::uint64_t need = write ? Pte::kPresent | Pte::kWritable : Pte::kPresent;
  if (address.value >= profile_.task_end) return Access::segv_maperr;  // the kernel's half
  Pte* pte = table_.entry(address.vpn());
  if (pte != nullptr && (pte->bits & need) == need) {
    pte->bits |= write ? Pte::kAccessed | Pte::kDirty : Pte::kAccessed;
    return Access::hit;  // only our walk cache had forgotten the table
  }
  Vma* vma = vmas_.find(address.value);
  if (vma == nullptr) return Access::segv_maperr;
  if (vma->start > address.value) {
    vma = expand_stack(address.value);
    if (vma == nullptr) return Access::segv_maperr;
  }
  if (write ? !vma->writable() : !vma->accessible()) return Access::segv_accerr;
  const bool fresh_table = pte == nullptr;
  if (fresh_table) pte = table_.make_entry(address.vpn());
  if (pte == nullptr) return Access::out_of_memory;
  // The region has no table yet: it may become one huge page.
  if (fresh_table && huge_page_allowed(*vma, false) && huge_page_fits(*vma, address.value) &&
      fault_in_huge(*vma, address.value, write)) {
    return fault_done(*vma, write ? FaultPath::anon_zero_fill : FaultPath::zero_page);
  }
  if (pte->none() && vma->backing != nullptr) return fault_in_file(*vma, address.value, write, fresh_table);
  return handle_fault(*vma, address.value, write, *pte);
}

Access AddressSpace::handle_fault(Vma& vma, std::uint64_t address, bool write, Pte& pte) {
  FL_ASSERT(vma.contains(address));
  const FrameUser user{this, VirtAddr(address).vpn()};
  if (pte.none()) {
    if (vma.anonymous()) return fault_in_anonymous(vma, write, pte, user);
    return fault_in_opaque(vma, write, pte, user);
  }
  if (pte.swap()) return fault_in_swapped(vma, write, pte, user);
  if (pte.guard()) return Access::segv_maperr;  // do_swap_page(): PTE_MARKER_GUARD, no fault is counted
  FL_ASSERT(write && pte.present());
  if (FaultPath path{}; pte.huge() && write_to_huge(vma, address, path)) return fault_done(vma, path);
  return write_to_protected(vma, pte, user);
}

Access AddressSpace::fault_in_anonymous(Vma& vma, bool write, Pte& pte, FrameUser user) {
  if (!write) {
    pte = Pte::make(frames_.zero_frame(), entry_flags(vma, false) | Pte::kZeroPage | Pte::kAccessed);
    return fault_done(vma, FaultPath::zero_page);
  }
  if (vma.anon_vma == nullptr) prepare_anon_vma(vma);
  const std::optional<Pfn> pfn = frames_.allocate_for(FrameUse::anonymous, user);
  if (!pfn) return Access::out_of_memory;
  frames_.at(*pfn).lazy_free = (vma.flags & kVmDroppable) != 0;
  pte = Pte::make(*pfn, entry_flags(vma, true) | Pte::kAccessed | Pte::kDirty);
  count_resident(vma, FrameUse::anonymous, 1);
  return fault_done(vma, FaultPath::anon_zero_fill);
}

// do_wp_page(): our own page is made writable, anything else is copied.
Access AddressSpace::write_to_protected(Vma& vma, Pte& pte, FrameUser user) {
  if (!pte.zero_page()) {
    Frame& frame = frames_.at(pte.pfn());
    const bool anonymous = frame.use == FrameUse::anonymous;
    if (anonymous && frame.references == 1) frame.exclusive = true;  // wp_can_reuse_anon_folio(): the others are gone
    if (anonymous ? frame.exclusive : (vma.flags & kVmShared) != 0) {
      if (!anonymous) note_shared_write(vma, base_of(user.vpn).value);
      pte.bits |= Pte::kWritable | Pte::kAccessed | Pte::kDirty;
      return fault_done(vma, FaultPath::cow_reuse);
    }
  }
  return copy_page(vma, pte, user) ? fault_done(vma, FaultPath::cow_copy) : Access::out_of_memory;
}

// wp_page_copy(). The old page is held meanwhile: making room for the copy must not take it.
bool AddressSpace::copy_page(Vma& vma, Pte& pte, FrameUser user) {
  if (vma.anon_vma == nullptr) prepare_anon_vma(vma);
  const std::optional<Pfn> old = pte.zero_page() ? std::nullopt : std::optional(pte.pfn());
  if (old) frames_.acquire(*old);
  const std::optional<Pfn> pfn = frames_.allocate_for(FrameUse::anonymous, user);
  if (pfn) drop_entry(vma, pte, user);
  if (old) frames_.release(*old);
  if (!pfn) return false;
  frames_.at(*pfn).lazy_free = (vma.flags & kVmDroppable) != 0;
  pte = Pte::make(*pfn, entry_flags(vma, true) | Pte::kAccessed | Pte::kDirty);
  count_resident(vma, FrameUse::anonymous, 1);
  return true;
}

Access AddressSpace::fault_done(const Vma& vma, FaultPath path, bool major) {
  TagStatistics& tag = statistics_.of(vma.tag);
  ++tag.faults[static_cast<std::size_t>(path)];
  statistics_.last_path = path;
  ++(major ? tag.major_faults : tag.minor_faults);
  return major ? Access::major_fault : Access::minor_fault;
}

void AddressSpace::count_resident(const Vma& vma, FrameUse use, std::uint64_t pages) {
  statistics_.of(vma.tag).resident(use) += pages;
  statistics_.resident_pages += pages;
  note_peak();
}

void AddressSpace::note_peak() {
  const std::uint64_t now = statistics_.resident_pages + statistics_.outside_pages;
  if (now > statistics_.peak_resident_pages) statistics_.peak_resident_pages = now;
}

// mm/rmap.c __anon_vma_prepare(), mm/vma.c find_mergeable_anon_vma(): the first frame of a mapping makes it share the
// anon_vma of a neighbour it could become one with if their access rights were equal, the upper neighbour first.
void AddressSpace::prepare_anon_vma(Vma& vma) {
  const auto compatible = [](const Vma& low, const Vma& high) {
    return low.end == high.start && low.kind == high.kind && low.file == high.file && low.backing == high.backing && low.tag == high.tag &&
           ((low.flags ^ high.flags) & ~(kVmAccess | kVmSticky)) == 0 && low.pgoff + low.pages() == high.pgoff;
  };
  const Vma* above = vmas_.find(vma.end);
  const Vma* below = vmas_.before(vma.start);
  // An anon_vma that came through a fork is not handed on (reusable_anon_vma()).
  const auto reusable = [](const Vma* one) { return one != nullptr && one->anon_vma != nullptr && !one->anon_vma->inherited(); };
  if (reusable(above) && compatible(vma, *above)) {
    VmaTree::set_anon_vma(vma, above->anon_vma);
  } else if (reusable(below) && compatible(*below, vma)) {
    VmaTree::set_anon_vma(vma, below->anon_vma);
  } else {
    VmaTree::set_anon_vma(vma, new_anon_chain());
  }
}

}  // namespace faultline::mm
