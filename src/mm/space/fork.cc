// fork(2), the memory's part. Counterpart: dup_mmap() (kernel/fork.c), anon_vma_fork() (mm/rmap.c), copy_page_range()
// (mm/memory.c).
#include "mm/backing/swap_space.h"
#include "mm/space/address_space.h"
#include "mm/space/anon_vma.h"

namespace faultline::mm {

Result<std::unique_ptr<AddressSpace>, Errno> AddressSpace::fork() {
  // Not even a root table? What making room for one frees is there for the table.
  const std::optional<Pfn> probe = frames_.allocate(FrameUse::page_table);
  if (!probe) return fail(Errno::nomem);
  frames_.release(*probe);
  auto child = std::make_unique<AddressSpace>(frames_, profile_, layout_, limits_);
  child->brk_ = brk_;
  child->thp_disabled_ = thp_disabled_;
  child->capabilities_ = capabilities_;  // locks are not inherited, MCL_FUTURE neither
  bool enough = true;
  vmas_.for_each([&](const Vma& vma) {
    if (!enough || (vma.flags & kVmDontCopy) != 0) return;
    const bool wiped = (vma.flags & kVmWipeOnFork) != 0;
    if ((vma.flags & kVmAccount) != 0 && !charge(vma.pages())) {
      enough = false;
      return;
    }
    Vma copy = vma;
    copy.flags &= ~kVmLockedMask;
    copy.anon_vma = wiped || vma.anon_vma == nullptr ? nullptr : fork_anon_chain(*vma.anon_vma);
    const Vma& inserted = *child->vmas_.insert(copy);
    child->count_mapped(copy, copy.pages());
    // Without anonymous pages of its own a mapping's entries are left to the child's faults (vma_needs_copy()).
    if (copy.anon_vma != nullptr) enough = copy_entries(vma, *child, inserted);
  });
  if (!enough) return fail(Errno::nomem);
  child->note_peak();
  return child;
}

// copy_pte_range(): the frames are shared; in private memory both sides lose the right to write without a fault.
bool AddressSpace::copy_entries(const Vma& vma, AddressSpace& child, const Vma& child_vma) {
  bool enough = true;
  TagStatistics& counted = child.statistics_.of(child_vma.tag);
  table_.for_each_table(vma.start, vma.end, [&](std::uint64_t start, std::uint64_t end) {
    if (!enough) return;
    Pte* target = child.table_.make_entry(VirtAddr(start).vpn());
    if (target == nullptr) {
      enough = false;
      return;
    }
    const Vpn first = VirtAddr(start).vpn();
    table_.for_each(start, end, [&](std::uint64_t at, Pte& pte) {
      const std::uint64_t index = VirtAddr(at).vpn().value - first.value;
      if (pte.guard()) {
        target[index] = pte;
        return;
      }
      if (pte.swap()) {  // copy_nonpresent_pte()
        pte.bits &= ~Pte::kSwapExclusive;
        frames_.swap()->area().add_entries(pte.swap_slot(), 1);
        ++counted.swapped_pages;
        target[index] = pte;
        return;
      }
      if (pte.maps_frame()) {
        Frame& frame = frames_.at(pte.pfn());
        frame.exclusive = false;
        frames_.map(pte.pfn(), {&child, VirtAddr(at).vpn()});
        ++counted.resident(frame.use);
        ++child.statistics_.resident_pages;
      }
      if ((vma.flags & kVmShared) == 0) pte.bits &= ~Pte::kWritable;
      target[index] = pte;
      target[index].bits &= ~Pte::kAccessed;
      if ((vma.flags & kVmShared) != 0) target[index].bits &= ~Pte::kDirty;
    });
  });
  return enough;
}

}  // namespace faultline::mm
