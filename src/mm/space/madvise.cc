// madvise(2). Counterpart: do_madvise(), madvise_walk_vmas(), madvise_vma_behavior(), madvise_populate() (mm/madvise.c).
#include <algorithm>

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
    case Madvice::dont_fork:
    case Madvice::do_fork:
    case Madvice::wipe_on_fork:
    case Madvice::keep_on_fork:
    case Madvice::huge_page:
    case Madvice::no_huge_page:
    case Madvice::cold:
    case Madvice::populate_read:
    case Madvice::populate_write: return true;
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
  VmFlags flags = vma.flags;
  switch (advice) {
    case Madvice::dont_need: zap(vma, start, end); return {};
    case Madvice::free:
      if (!vma.anonymous()) return fail(Errno::inval);
      // The pages stay until memory is short; they only become clean.
      table_.for_each(start, end, [](std::uint64_t, Pte& pte) {
        if (!pte.zero_page()) pte.bits &= ~(Pte::kDirty | Pte::kAccessed);
      });
      return {};
    case Madvice::cold:
      table_.for_each(start, end, [](std::uint64_t, Pte& pte) { pte.bits &= ~Pte::kAccessed; });
      return {};
    case Madvice::normal: flags &= ~(kVmRandomRead | kVmSequentialRead); break;
    case Madvice::random: flags = (flags & ~kVmSequentialRead) | kVmRandomRead; break;
    case Madvice::sequential: flags = (flags & ~kVmRandomRead) | kVmSequentialRead; break;
    case Madvice::huge_page: flags = (flags & ~kVmNoHugePage) | kVmHugePage; break;
    case Madvice::no_huge_page: flags = (flags & ~kVmHugePage) | kVmNoHugePage; break;
    case Madvice::dont_fork: flags |= kVmDontCopy; break;
    case Madvice::do_fork: flags &= ~kVmDontCopy; break;
    case Madvice::wipe_on_fork:
      if (!vma.anonymous()) return fail(Errno::inval);
      flags |= kVmWipeOnFork;
      break;
    case Madvice::keep_on_fork: flags &= ~kVmWipeOnFork; break;
    default: return {};  // will_need: nothing is swapped out, nothing to read
  }
  if (flags == vma.flags) return {};
  auto done = modify(vma, start, end, flags);
  if (!done && done.error() == Errno::nomem) return fail(Errno::again);  // "a kernel resource was unavailable"
  return done;
}

Result<void, Errno> AddressSpace::advise_populate(std::uint64_t start, std::uint64_t end, bool write) {
  for (std::uint64_t at = start; at < end; at += kPageSize) {
    const Vma* vma = vmas_.containing(at);
    if (vma == nullptr) return fail(Errno::nomem);
    if (write ? !vma->writable() : (vma->flags & kVmRead) == 0) return fail(Errno::inval);
    if (refused(access(VirtAddr(at), write))) return fail(Errno::nomem);
  }
  return {};
}

}  // namespace faultline::mm
