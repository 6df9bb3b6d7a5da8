// Faults on pages that are in swap, and how entries get there. Counterpart: do_swap_page() (mm/memory.c), try_to_unmap_one()
// (mm/rmap.c), Linux 6.18.
#include "base/assert.h"
#include "mm/backing/swap_space.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

// The slots of the mapping's pages around the one that faulted: swap_vma_readahead().
std::optional<Pfn> AddressSpace::read_around_page(Vma& vma, SwapSlot slot, Vpn vpn) {
  SwapSpace& swap = *frames_.swap();
  const ReadWindow window = vma.swap_read_ahead.window(vpn.value, swap.max_window(), vma.start >> kPageShift, vma.end >> kPageShift);
  if (window.pages() == 1) return swap.read(slot, std::span(&slot, 1));
  std::vector<SwapSlot> slots;
  for (std::uint64_t at = window.first; at < window.end; ++at) {
    const Pte* pte = table_.entry(Vpn(at));
    if (pte != nullptr && pte->swap()) slots.push_back(pte->swap_slot());
  }
  return swap.read(slot, slots);
}

Access AddressSpace::fault_in_swapped(Vma& vma, bool write, Pte& pte, FrameUser user) {
  SwapSpace& swap = *frames_.swap();
  const SwapSlot slot = pte.swap_slot();
  std::optional<Pfn> pfn = swap.find(slot, user.vpn.value, vma.swap_read_ahead);
  const bool major = !pfn;
  if (pfn) {
    frames_.acquire(*pfn);
  } else if (swap.device().model().synchronous && swap.area().entries(slot) == 1) {
    pfn = swap.read(slot, {});
  } else {
    pfn = swap.reads_around_slots() ? swap.read_around_slot(slot) : read_around_page(vma, slot, user.vpn);
  }
  if (!pfn) return Access::out_of_memory;
  frames_.map(*pfn, user);
  --statistics_.of(vma.tag).swapped_pages;
  count_resident(vma, FrameUse::anonymous, 1);
  swap.area().drop_entry(slot);
  Frame& frame = frames_.at(*pfn);
  frame.lazy_free = false;
  const bool last = swap.area().entries(slot) == 0 && frame.users == 1;
  frame.exclusive = frame.users == 1 && (pte.swap_exclusive() || last);
  // should_try_to_free_swap(): a slot is kept as long as the page stays equal to it, unless slots are scarce.
  if (last && frame.swap_cache && !frame.writing && (write || swap.area().nearly_full() || (vma.flags & kVmLocked) != 0)) swap.leave_cache(*pfn);
  pte = Pte::make(*pfn, entry_flags(vma, frame.exclusive) | Pte::kAccessed);
  frames_.release(*pfn);  // the fault's own reference
  if (write && frames_.at(*pfn).exclusive) {
    pte.bits |= Pte::kDirty;
  } else if (write && !copy_page(vma, pte, user)) {
    return Access::out_of_memory;
  }
  return fault_done(vma, FaultPath::swap_in, major);
}

void AddressSpace::prefetch_slot(const Pte& pte) const { frames_.swap()->area().prefetch(pte.swap_slot()); }

void AddressSpace::prefetch_page(const Pte& pte) const {
  if (frames_.observer() != nullptr) frames_.observer()->prefetch_returning(frames_.swap()->area().page(pte.swap_slot()));
}

// --- what page replacement does to an entry (reverse_map.cc) ---
bool AddressSpace::take_accessed(Vpn vpn) {
  Pte& pte = *table_.entry(vpn);
  const bool accessed = pte.accessed();
  pte.bits &= ~Pte::kAccessed;
  table_.note_change();
  return accessed;
}

void AddressSpace::swap_out_entry(Vpn vpn, SwapSlot slot) {
  Pte& pte = *table_.entry(vpn);
  const Pfn pfn = pte.pfn();
  const Vma& vma = *vmas_.containing(base_of(vpn).value);
  if (pte.dirty()) frames_.at(pfn).modified = true;
  const bool exclusive = frames_.at(pfn).exclusive;
  --statistics_.of(vma.tag).resident_pages;
  --statistics_.resident_pages;
  ++statistics_.of(vma.tag).swapped_pages;
  frames_.at(pfn).exclusive = false;
  frames_.unmap(pfn, {this, vpn});
  pte = Pte::make_swap(slot, exclusive);
  table_.note_change();
}

void AddressSpace::split_huge_entry(Vpn vpn) {
  if (table_.entry(vpn)->huge()) split_huge_page(base_of(vpn).value);
}

VmFlags AddressSpace::flags_at(Vpn vpn) const { return vmas_.containing(base_of(vpn).value)->flags; }

}  // namespace faultline::mm
