// mincore(2). Counterpart: mm/mincore.c.
#include <algorithm>

#include "mm/backing/open_file.h"
#include "mm/backing/swap_space.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

// A page counts when its entry is there, the zero page and PROT_NONE pages included; a guard marker is no page. A page of a
// file counts when it is in the page cache.
Result<std::vector<bool>, Errno> AddressSpace::mincore(VirtAddr address, ByteCount length) const {
  if (!address.page_aligned()) return fail(Errno::inval);
  const std::uint64_t start = address.value;
  if (start > profile_.task_end || length.value > profile_.task_end - start) return fail(Errno::nomem);
  const std::uint64_t end = start + page_ceil(length.value);
  std::vector<bool> pages;
  for (std::uint64_t at = start; at < end;) {
    const Vma* vma = vmas_.containing(at);
    if (vma == nullptr) return fail(Errno::nomem);
    const std::uint64_t to = std::min(end, vma->end);
    for (; at < to; at += kPageSize) {
      const Pte* pte = table_.entry(VirtAddr(at).vpn());
      const bool none = pte == nullptr || pte->none();
      pages.push_back(none ? vma->backing != nullptr && vma->backing->object().cached(vma->pgoff_at(at)) : !pte->guard() && (!pte->swap() || frames_.swap()->area().cached(pte->swap_slot())));
    }
  }
  return pages;
}

}  // namespace faultline::mm
