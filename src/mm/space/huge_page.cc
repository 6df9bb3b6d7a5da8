// Transparent huge pages of anonymous memory. Counterpart: do_huge_pmd_anonymous_page(), do_huge_pmd_wp_page(),
// __split_huge_pmd() (mm/huge_memory.c). Making one of small pages that are there already: collapse.cc.
//
// Linux maps a huge page with one entry of the second level and keeps a page table aside for the day it is split, which
// VmPTE counts. Here that table is used from the start: its 512 entries carry Pte::kHuge for as long as they are one.
#include <algorithm>

#include "base/assert.h"
#include "mm/space/address_space.h"
#include "mm/space/anon_vma.h"

namespace faultline::mm {

namespace {
constexpr std::uint64_t kRegion = entry_span(2);
constexpr std::uint64_t region_of(std::uint64_t address) { return address / kRegion * kRegion; }
}  // namespace

// thp_vma_allowable_order(). forced: MADV_COLLAPSE, which does not ask for the mode.
bool AddressSpace::huge_page_allowed(const Vma& vma, bool forced) const {
  if (!vma.anonymous() || thp_disabled_ || (vma.flags & (kVmNoHugePage | kVmSpecial)) != 0) return false;
  if (forced || profile_.thp == ThpMode::always) return true;
  return profile_.thp == ThpMode::madvise && (vma.flags & kVmHugePage) != 0;
}

bool AddressSpace::huge_page_fits(const Vma& vma, std::uint64_t address) {
  return region_of(address) >= vma.start && region_of(address) + kRegion <= vma.end;
}

bool AddressSpace::has_room_for_huge_page(const Vma& vma) { return vma.length() >= kRegion && huge_page_fits(vma, vma.end - kRegion); }

bool AddressSpace::huge_page_eligible(const Vma& vma) const { return has_room_for_huge_page(vma) && huge_page_allowed(vma, false); }

// Nothing is mapped in the region. A read maps the huge zero page. Without frames for it there is no huge page.
bool AddressSpace::fault_in_huge(Vma& vma, std::uint64_t address, bool write) {
  const bool zero = !write && profile_.huge_zero_page;
  if (!zero && frames_.available() < kEntriesPerTable) return false;
  if (vma.anon_vma == nullptr) prepare_anon_vma(vma);
  map_huge(vma, region_of(address), write, zero);
  return true;
}

void AddressSpace::map_huge(const Vma& vma, std::uint64_t region, bool write, bool zero) {
  Pte* const entries = table_.entry(VirtAddr(region).vpn());
  for (std::uint64_t i = 0; i < kEntriesPerTable; ++i) {
    if (zero) {
      entries[i] = Pte::make(frames_.zero_frame(), entry_flags(vma, false) | Pte::kZeroPage | Pte::kHuge | Pte::kAccessed);
      continue;
    }
    const Pfn pfn = *frames_.allocate_for(FrameUse::anonymous, {this, VirtAddr(region + (i << kPageShift)).vpn()});
    frames_.at(pfn).lazy_free = (vma.flags & kVmDroppable) != 0;
    entries[i] = Pte::make(pfn, entry_flags(vma, true) | Pte::kHuge | Pte::kAccessed | (write ? Pte::kDirty : 0));
  }
  if (!zero) count_resident(vma, FrameUse::anonymous, kEntriesPerTable);
}

// do_huge_pmd_wp_page(): the huge zero page gives way to a fresh huge page; one that is ours alone is made writable whole.
// False: it was split, and the page alone is to be looked at.
bool AddressSpace::write_to_huge(Vma& vma, std::uint64_t address, FaultPath& path) {
  const std::uint64_t region = region_of(address);
  Pte* const entries = table_.entry(VirtAddr(region).vpn());
  if (entries->zero_page()) {
    if (frames_.available() >= kEntriesPerTable) {
      map_huge(vma, region, true, false);
      path = FaultPath::cow_copy;
      return true;
    }
  } else {
    const bool exclusive = frames_.at(entries->pfn()).exclusive;
    const bool alone = exclusive || std::all_of(entries, entries + kEntriesPerTable,
                                                [this](Pte pte) { return frames_.at(pte.pfn()).references == 1; });
    if (alone) {
      for (std::uint64_t i = 0; i < kEntriesPerTable; ++i) {
        frames_.at(entries[i].pfn()).exclusive = true;
        entries[i].bits |= Pte::kWritable | Pte::kAccessed | Pte::kDirty;
      }
      path = FaultPath::cow_reuse;
      return true;
    }
  }
  split_huge_page(region);
  return false;
}

void AddressSpace::split_huge_page(std::uint64_t address) {
  Pte* const entries = table_.entry(VirtAddr(region_of(address)).vpn());
  if (entries == nullptr || !entries->huge()) return;
  for (std::uint64_t i = 0; i < kEntriesPerTable; ++i) entries[i].bits &= ~Pte::kHuge;
}

// MADV_FREE and MADV_COLD of a part pass over the huge zero page.
void AddressSpace::split_owned_huge_at(std::uint64_t start, std::uint64_t end) {
  for (const std::uint64_t edge : {start, end}) {
    const Pte* pte = edge % kRegion != 0 ? table_.entry(VirtAddr(edge).vpn()) : nullptr;
    if (pte != nullptr && !pte->zero_page()) split_huge_page(edge);
  }
}

// Nothing that happens to [start, end) alone leaves a huge page whole that reaches out of it.
void AddressSpace::split_huge_at(std::uint64_t start, std::uint64_t end) {
  if (start % kRegion != 0) split_huge_page(start);
  if (end % kRegion != 0) split_huge_page(end);
}

// AnonHugePages of smaps.
ByteCount AddressSpace::huge_bytes(VirtAddr start, VirtAddr end) const {
  std::uint64_t pages = 0;
  table_.for_each(start.value, end.value, [&](std::uint64_t, const Pte& pte) {
    pages += pte.huge() && pte.maps_frame() ? 1 : 0;
  });
  return PageCount(pages).bytes();
}

}  // namespace faultline::mm
