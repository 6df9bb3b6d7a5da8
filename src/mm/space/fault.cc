// Page faults. Counterpart: arch/x86/mm/fault.c and handle_mm_fault(), do_anonymous_page(), do_wp_page() (mm/memory.c).
#include <algorithm>

#include "base/assert.h"
#include "mm/space/address_space.h"

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
  if (Pte* pte = table_.entry(address.vpn()); pte != nullptr && (pte->bits & need) == need) {
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
  Pte* pte = table_.make_entry(address.vpn());
  if (pte == nullptr) return Access::out_of_memory;
  return handle_fault(*vma, address.value, write, *pte);
}

Access AddressSpace::handle_fault(Vma& vma, std::uint64_t address, bool write, Pte& pte) {
  FL_ASSERT(vma.contains(address));
  if (pte.none()) return vma.anonymous() ? fault_in_anonymous(vma, write, pte) : fault_in_file(vma, write, pte);
  FL_ASSERT(write && pte.present());
  return write_to_protected(vma, pte);
}

Access AddressSpace::fault_in_anonymous(Vma& vma, bool write, Pte& pte) {
  if (!write) {
    pte = Pte::make(frames_.zero_frame(), entry_flags(vma, false) | Pte::kZeroPage | Pte::kAccessed);
    return fault_done(vma, FaultPath::zero_page);
  }
  if (vma.anon_vma == 0) prepare_anon_vma(vma);
  const std::optional<Pfn> pfn = frames_.allocate(FrameUse::anonymous);
  if (!pfn) return Access::out_of_memory;
  pte = Pte::make(*pfn, entry_flags(vma, true) | Pte::kAccessed | Pte::kDirty);
  ++statistics_.of(vma.tag).resident_pages;
  ++statistics_.resident_pages;
  note_peak();
  return fault_done(vma, FaultPath::anon_zero_fill);
}

// An opaque file: its pages are always in the page cache, each fault maps one. A private write copies at once.
Access AddressSpace::fault_in_file(Vma& vma, bool write, Pte& pte) {
  const bool shared = (vma.flags & kVmShared) != 0;
  const bool copy = write && !shared;
  if (copy && vma.anon_vma == 0) prepare_anon_vma(vma);
  const std::optional<Pfn> pfn = frames_.allocate(copy ? FrameUse::anonymous : FrameUse::file);
  if (!pfn) return Access::out_of_memory;
  pte = Pte::make(*pfn, entry_flags(vma, copy || shared) | Pte::kAccessed | (write ? Pte::kDirty : 0));
  ++(copy ? statistics_.of(vma.tag).resident_pages : statistics_.of(vma.tag).resident_file_pages);
  ++statistics_.resident_pages;
  note_peak();
  return fault_done(vma, copy ? FaultPath::cow_copy : FaultPath::file_map);
}

Access AddressSpace::write_to_protected(Vma& vma, Pte& pte) {
  const bool zero = pte.zero_page();
  const bool file = !zero && frames_.at(pte.pfn()).use == FrameUse::file;
  const bool copy = zero || (file && (vma.flags & kVmShared) == 0);
  if (!copy) {
    pte.bits |= Pte::kWritable | Pte::kAccessed | Pte::kDirty;
    return fault_done(vma, FaultPath::cow_reuse);
  }
  if (vma.anon_vma == 0) prepare_anon_vma(vma);
  const std::optional<Pfn> pfn = frames_.allocate(FrameUse::anonymous);
  if (!pfn) return Access::out_of_memory;
  if (file) {
    frames_.release(pte.pfn());
    --statistics_.of(vma.tag).resident_file_pages;
    --statistics_.resident_pages;
  }
  pte = Pte::make(*pfn, entry_flags(vma, true) | Pte::kAccessed | Pte::kDirty);
  ++statistics_.of(vma.tag).resident_pages;
  ++statistics_.resident_pages;
  note_peak();
  return fault_done(vma, FaultPath::cow_copy);
}

Access AddressSpace::fault_done(const Vma& vma, FaultPath path) {
  TagStatistics& tag = statistics_.of(vma.tag);
  ++tag.faults[static_cast<std::size_t>(path)];
  ++tag.minor_faults;
  return Access::minor_fault;
}

void AddressSpace::note_peak() {
  const std::uint64_t now = statistics_.resident_pages + statistics_.outside_pages;
  if (now > statistics_.peak_resident_pages) statistics_.peak_resident_pages = now;
}

// mm/rmap.c __anon_vma_prepare(), mm/vma.c find_mergeable_anon_vma(): the first frame of a mapping makes it share the
// anon_vma of a neighbour it could become one with if their access rights were equal, the upper neighbour first.
void AddressSpace::prepare_anon_vma(Vma& vma) {
  const auto compatible = [](const Vma& low, const Vma& high) {
    return low.end == high.start && low.kind == high.kind && low.file == high.file && low.tag == high.tag &&
           ((low.flags ^ high.flags) & ~kVmAccess) == 0 && low.pgoff + low.pages() == high.pgoff;
  };
  const Vma* above = vmas_.find(vma.end);
  const Vma* below = vmas_.before(vma.start);
  if (above != nullptr && above->anon_vma != 0 && compatible(vma, *above)) {
    vma.anon_vma = above->anon_vma;
  } else if (below != nullptr && below->anon_vma != 0 && compatible(*below, vma)) {
    vma.anon_vma = below->anon_vma;
  } else {
    vma.anon_vma = next_anon_vma_++;
  }
}

// mm/mmap.c expand_downwards(): the mapping above may be a stack that grows to the address.
Vma* AddressSpace::expand_stack(std::uint64_t address) {
  Vma* vma = vmas_.find(address);
  if (vma == nullptr || (vma->flags & kVmGrowsDown) == 0) return nullptr;
  const std::uint64_t start = page_floor(address);
  if (start < profile_.mmap_min_addr) return nullptr;
  const Vma* prev = vmas_.before(vma->start);
  const std::uint64_t guard = profile_.stack_guard_gap_pages << kPageShift;
  if (prev != nullptr && (prev->flags & kVmGrowsDown) == 0 && prev->accessible() && start < prev->end + guard) return nullptr;
  if (prev != nullptr && start < prev->end) return nullptr;
  const std::uint64_t grow = (vma->start - start) >> kPageShift;
  if (limits_.stack != kUnlimited && vma->end - start > limits_.stack) return nullptr;
  if (grow > vma->pgoff || !may_expand(vma->flags, grow)) return nullptr;
  vma->pgoff -= grow;
  count_mapped(vma->tag, grow);
  vmas_.resize(*vma, start, vma->end);
  return vma;
}

// mm/gup.c populate_vma_page_range(): write faults where the mapping is private and writable, else read faults. They
// count as the process's minor faults like any other.
void AddressSpace::populate(std::uint64_t start, std::uint64_t end) {
  for (std::uint64_t at = start; at < end; at += kPageSize) {
    const Vma* vma = vmas_.containing(at);
    FL_ASSERT(vma != nullptr);
    const bool write = (vma->flags & (kVmWrite | kVmShared)) == kVmWrite;
    if (refused(access(VirtAddr(at), write))) return;
  }
}

}  // namespace faultline::mm
