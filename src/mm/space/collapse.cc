// Huge pages made of what is mapped already: because the program asks (MADV_COLLAPSE) or because khugepaged finds enough in a region.
// Counterpart: madvise_collapse(), hpage_collapse_scan_pmd(), collapse_huge_page() (mm/khugepaged.c).
#include <algorithm>

#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {
constexpr std::uint64_t kRegion = entry_span(2);
}  // namespace

void AddressSpace::collapse_region(const Vma& vma, std::uint64_t region) {
  zap(vma, region, region + kRegion);
  map_huge(vma, region, true, false);
}

// madvise_collapse(): every huge page that fits into the range, whatever is mapped there now. It ends with EINVAL at a region
// without a page table, where there is nothing to collapse.
Result<void, Errno> AddressSpace::collapse(Vma& vma, std::uint64_t start, std::uint64_t end) {
  if (!huge_page_allowed(vma, true) || !has_room_for_huge_page(vma) || vma.anon_vma == nullptr) return fail(Errno::inval);
  const std::uint64_t first = (start + kRegion - 1) / kRegion * kRegion;
  const std::uint64_t last = end / kRegion * kRegion;
  if (last < first) return fail(Errno::inval);
  for (std::uint64_t region = first; region < last; region += kRegion) {
    Pte* const entries = table_.entry(VirtAddr(region).vpn());
    if (entries == nullptr || (entries->huge() && entries->zero_page())) return fail(Errno::inval);
    if (!entries->huge()) {
      if (std::any_of(entries, entries + kEntriesPerTable, [](Pte pte) { return pte.guard(); })) return fail(Errno::inval);
      if (frames_.available() < kEntriesPerTable) return fail(Errno::nomem);
      collapse_region(vma, region);
    }
  }
  return {};
}

// hpage_collapse_scan_pmd(). Pages without contents of their own count as missing; a page that others map too would be copied.
bool AddressSpace::worth_collapsing(const Vma& vma, std::uint64_t region) const {
  const Pte* const entries = table_.entry(VirtAddr(region).vpn());
  if (entries == nullptr || entries->huge() || vma.anon_vma == nullptr) return false;
  std::uint64_t missing = 0, shared = 0, referenced = 0;
  for (std::uint64_t i = 0; i < kEntriesPerTable; ++i) {
    const Pte pte = entries[i];
    if (pte.guard() || pte.swap()) return false;  // up to max_ptes_swap would be read in; here none
    if (!pte.maps_frame()) {
      if (++missing > profile_.khugepaged.max_missing) return false;
      continue;
    }
    const Frame& frame = frames_.at(pte.pfn());
    if (frame.use != FrameUse::anonymous) return false;
    if (frame.users > 1 && ++shared > profile_.khugepaged.max_shared) return false;
    if (pte.accessed()) ++referenced;
  }
  return referenced > 0;
}

std::uint64_t AddressSpace::scan_for_huge_pages(std::uint64_t& cursor, std::uint64_t budget, std::uint64_t& collapsed) {
  std::uint64_t looked_at = 0;
  for (const Vma* vma = vmas_.find(cursor); vma != nullptr; vma = vmas_.find(cursor)) {
    const std::uint64_t first = (vma->start + kRegion - 1) / kRegion * kRegion, end = vma->end / kRegion * kRegion;
    cursor = std::max(cursor, first);
    if (first >= end || cursor >= end || !huge_page_allowed(*vma, false)) {
      ++looked_at;  // skipping one counts, too
      cursor = vma->end;
    } else {
      if (worth_collapsing(*vma, cursor) && frames_.available() >= kEntriesPerTable) {
        collapse_region(*vma, cursor);
        ++collapsed;
      }
      cursor += kRegion;
      looked_at += kEntriesPerTable;
    }
    if (looked_at >= budget) return looked_at;
  }
  cursor = kScannedAll;
  return looked_at;
}

}  // namespace faultline::mm
