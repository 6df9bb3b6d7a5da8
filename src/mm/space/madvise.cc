// madvise(2). Counterpart: do_madvise(), madvise_walk_vmas(), madvise_vma_behavior(), madvise_populate() (mm/madvise.c).
#include <algorithm>

#include "mm/backing/file_users.h"
#include "mm/backing/open_file.h"
#include "mm/backing/swap_space.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {

bool known(Madvice advice) {
  switch (advice) {
    case Madvice::normal:
    case Madvice::random:
    case Madvice::sequential:
    case Madvice::will_need:
    case Madvice::dont_need:
    case Madvice::free:
    case Madvice::remove:
    case Madvice::dont_fork:
    case Madvice::do_fork:
    case Madvice::mergeable:
    case Madvice::unmergeable:
    case Madvice::huge_page:
    case Madvice::no_huge_page:
    case Madvice::dont_dump:
    case Madvice::do_dump:
    case Madvice::wipe_on_fork:
    case Madvice::keep_on_fork:
    case Madvice::cold:
    case Madvice::page_out:
    case Madvice::populate_read:
    case Madvice::populate_write:
    case Madvice::dont_need_locked:
    case Madvice::collapse:
    case Madvice::guard_install:
    case Madvice::guard_remove: return true;
  }
  return false;
}

}  // namespace

Result<void, Errno> AddressSpace::madvise(VirtAddr address, ByteCount length, Madvice advice) {
  if (!known(advice) || !address.page_aligned()) return fail(Errno::inval);
  std::uint64_t start = address.value;
  const std::uint64_t bytes = page_ceil(length.value);
  if (length.value != 0 && bytes == 0) return fail(Errno::inval);
  const std::uint64_t end = start + bytes;
  if (end < start) return fail(Errno::inval);
  if (end == start) return {};
  if (advice == Madvice::populate_read || advice == Madvice::populate_write) {
    return advise_populate(start, end, advice == Madvice::populate_write);
  }
  // Holes are skipped; the call then does everything and still answers ENOMEM.
  bool hole = false;
  while (start < end) {
    Vma* vma = vmas_.find(start);
    if (vma == nullptr) return fail(Errno::nomem);
    if (vma->start > start) {
      hole = true;
      start = vma->start;
      if (start >= end) break;
    }
    const std::uint64_t to = std::min(end, vma->end);
    FL_CHECK(advise_vma(*vma, start, to, advice));
    start = to;
  }
  if (hole) return fail(Errno::nomem);
  return {};
}

Result<void, Errno> AddressSpace::advise_vma(Vma& vma, std::uint64_t start, std::uint64_t end, Madvice advice) {
  switch (advice) {
    case Madvice::will_need:  // nothing is swapped out, only a disk's file has something to read
      if (vma.backing != nullptr && !vma.backing->object().shmem()) {
        vma.backing->read_ahead().will_need(vma.backing->object(), vma.pgoff_at(start), (end - start) >> kPageShift);
      }
      return {};
    case Madvice::remove:
      if ((vma.flags & kVmLocked) != 0 || vma.anonymous()) return fail(Errno::inval);
      if (vma.backing == nullptr || (vma.flags & kVmShared) == 0 || (vma.flags & kVmNeverWrite) != 0) return fail(Errno::acces);
      remove_pages(frames_, vma.backing->object(), vma.pgoff_at(start), vma.pgoff_at(end),
                   [](const FrameUser& user) { user.space->forget_entry(user.vpn); });
      return {};
    case Madvice::dont_need:
    case Madvice::dont_need_locked:
      if ((vma.flags & (kVmPfnMap | (advice == Madvice::dont_need ? kVmLocked : 0))) != 0) return fail(Errno::inval);
      zap(vma, start, end, true);
      if (profile_.madvise_frees_tables) table_.free_empty_leaves(start, end);
      return {};
    case Madvice::free:
      if ((vma.flags & (kVmPfnMap | kVmLocked)) != 0 || !vma.anonymous()) return fail(Errno::inval);
      free_lazily(vma, start, end);
      return {};
    case Madvice::cold:
    case Madvice::page_out:
      if ((vma.flags & (kVmPfnMap | kVmLocked)) != 0) return fail(Errno::inval);
      if (vma.backing != nullptr) split_advised_folios(vma, start, end);
      split_owned_huge_at(start, end);
      table_.for_each(start, end, [&](std::uint64_t, Pte& pte) {  // what others map, too, is none of this program's business
        if (pte.maps_frame() && frames_.at(pte.pfn()).users == 1) pte.bits &= ~Pte::kAccessed;
      });
      if (advice == Madvice::page_out) page_out(vma, start, end);
      return {};
    case Madvice::collapse: return collapse(vma, start, end);
    case Madvice::guard_install: return install_guards(vma, start, end);
    case Madvice::guard_remove:
      if ((vma.flags & kVmSpecial) != 0) return fail(Errno::inval);
      remove_guards(start, end);
      return {};
    default: break;
  }
  FL_TRY(const VmFlags flags, advised_flags(vma, advice));
  if (flags == vma.flags) return {};
  auto done = modify(vma, start, end, flags);
  if (!done && done.error() == Errno::nomem) return fail(Errno::again);  // "a kernel resource was unavailable"
  return done;
}

// The advice that only changes what the mapping is.
Result<VmFlags, Errno> AddressSpace::advised_flags(const Vma& vma, Madvice advice) const {
  const VmFlags flags = vma.flags;
  switch (advice) {
    case Madvice::random: return (flags & ~kVmSequentialRead) | kVmRandomRead;
    case Madvice::sequential: return (flags & ~kVmRandomRead) | kVmSequentialRead;
    case Madvice::dont_fork: return flags | kVmDontCopy;
    case Madvice::do_fork:
      if ((flags & kVmIo) != 0) return fail(Errno::inval);
      return flags & ~kVmDontCopy;
    case Madvice::wipe_on_fork:
      if (!vma.anonymous() || (flags & kVmShared) != 0) return fail(Errno::inval);
      return flags | kVmWipeOnFork;
    case Madvice::keep_on_fork:
      if ((flags & kVmDroppable) != 0) return fail(Errno::inval);
      return flags & ~kVmWipeOnFork;
    case Madvice::dont_dump: return flags | kVmDontDump;
    case Madvice::do_dump:
      if ((flags & (kVmSpecial | kVmDroppable)) != 0) return fail(Errno::inval);
      return flags & ~kVmDontDump;
    case Madvice::mergeable: return (flags & (kVmShared | kVmSpecial | kVmDroppable)) == 0 ? flags | kVmMergeable : flags;
    case Madvice::unmergeable: return flags & ~kVmMergeable;
    case Madvice::huge_page: return (flags & ~kVmNoHugePage) | kVmHugePage;
    case Madvice::no_huge_page: return (flags & ~kVmHugePage) | kVmNoHugePage;
    default: return flags & ~(kVmRandomRead | kVmSequentialRead);  // normal
  }
}

// madvise_free_pte_range(): the pages stay until memory is short or MADV_PAGEOUT asks; a write keeps them after all.
void AddressSpace::free_lazily(const Vma& vma, std::uint64_t start, std::uint64_t end) {
  split_owned_huge_at(start, end);
  table_.for_each(start, end, [&](std::uint64_t at, Pte& pte) {
    if (pte.swap()) drop_entry(vma, pte, {this, VirtAddr(at).vpn()});
    if (!pte.maps_frame()) return;
    pte.bits &= ~(Pte::kDirty | Pte::kAccessed);
    Frame& frame = frames_.at(pte.pfn());
    if (frame.swap_cache && frame.users == 1 && frames_.swap()->area().entries(SwapSlot(frame.index)) == 0) frames_.swap()->leave_cache(pte.pfn());
    if (frame.swap_cache) return;  // somebody else's, too
    frame.modified = false;
    if (!frame.left_locked) frame.lazy_free = true;  // folio_mark_lazyfree(): not of unevictable ones
  });
}

// madvise_cold_or_pageout_pte_range(), shrink_folio_list(): without swap only what MADV_FREE gave up can go.
void AddressSpace::page_out(const Vma& vma, std::uint64_t start, std::uint64_t end) {
  table_.for_each(start, end, [&](std::uint64_t at, Pte& pte) {
    if (!pte.maps_frame()) return;
    if (const Frame& frame = frames_.at(pte.pfn()); !frame.lazy_free || frame.users > 1) return;
    if (pte.dirty() && (vma.flags & kVmDroppable) == 0) {
      frames_.at(pte.pfn()).lazy_free = false;  // written since: an ordinary page again
    } else {
      drop_entry(vma, pte, {this, VirtAddr(at).vpn()});
    }
  });
}

Result<void, Errno> AddressSpace::advise_populate(std::uint64_t start, std::uint64_t end, bool write) {
  const OriginScope origin(fault_origin_, FaultOrigin::advice);
  for (std::uint64_t at = start; at < end;) {
    const Vma* vma = vmas_.containing(at);
    if (vma == nullptr) return fail(Errno::nomem);
    if ((vma->flags & (kVmIo | kVmPfnMap)) != 0) return fail(Errno::inval);
    if (write ? !vma->writable() : (vma->flags & kVmRead) == 0) return fail(Errno::inval);
    for (const std::uint64_t to = std::min(end, vma->end); at < to; at += kPageSize) {
      const Access met = access(VirtAddr(at), write);
      if (refused(met)) return fail(met == Access::out_of_memory ? Errno::nomem : Errno::fault);
    }
  }
  return {};
}

}  // namespace faultline::mm
