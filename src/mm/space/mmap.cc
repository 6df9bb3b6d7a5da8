// mmap(2). Counterpart: do_mmap() and __mmap_region() (mm/mmap.c, mm/vma.c).
#include <algorithm>

#include "mm/backing/open_file.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {

VmFlags vm_flags_of(Prot prot, MapFlags flags) {
  VmFlags vm = 0;
  if ((prot & kProtRead) != 0) vm |= kVmRead;
  if ((prot & kProtWrite) != 0) vm |= kVmWrite;
  if ((prot & kProtExec) != 0) vm |= kVmExec;
  if ((flags & kMapShared) != 0) vm |= kVmShared | kVmMayShare;
  if ((flags & kMapGrowsDown) != 0) vm |= kVmGrowsDown;
  if ((flags & kMapLocked) != 0) vm |= kVmLocked;
  if ((flags & kMapStack) != 0) vm |= kVmNoHugePage;  // since 6.7: thread stacks get no huge pages
  return vm;
}

}  // namespace

Result<VirtAddr, Errno> AddressSpace::mmap(const MmapArguments& arguments) {
  constexpr MapFlags type_mask = 0x0f;
  if (arguments.length.value == 0) return fail(Errno::inval);
  MapFlags flags = arguments.flags;
  const bool anonymous = (flags & kMapAnonymous) != 0;
  if (anonymous && (flags & kMapHugeTlb) != 0) return fail(Errno::nomem);  // no huge pages are reserved
  if ((flags & kMapFixedNoReplace) != 0) flags |= kMapFixed;
  std::uint64_t hint = arguments.address.value;
  if ((flags & kMapFixed) == 0) {
    hint = page_floor(hint);
    if (hint != 0 && hint < profile_.mmap_min_addr) hint = page_ceil(profile_.mmap_min_addr);
  }
  const std::uint64_t length = page_ceil(arguments.length.value);
  if (length == 0) return fail(Errno::nomem);
  if (page_floor(arguments.file_offset) != arguments.file_offset) return fail(Errno::inval);
  if (arguments.file_offset + length < arguments.file_offset) return fail(Errno::overflow);
  if (vmas_.size() > profile_.max_map_count) return fail(Errno::nomem);

  OpenFile* backing = anonymous ? nullptr : arguments.backing;
  const bool private_memory = anonymous && (flags & type_mask) != kMapShared;
  const bool file_aligns = !anonymous && (arguments.file_aligns_huge || (backing != nullptr && !backing->object().shmem()));
  FL_TRY(const std::uint64_t start,
         unmapped_area(hint, length, flags, huge_offset(hint, length, private_memory, file_aligns, arguments.file_offset)));
  const std::uint64_t end = start + length;
  if ((flags & kMapFixedNoReplace) != 0 && vmas_.overlaps(start, end)) return fail(Errno::exist);
  Vma vma;
  vma.start = start;
  vma.end = end;
  vma.flags = vm_flags_of(arguments.prot, flags) | default_flags_;
  vma.tag = arguments.tag;
  if ((flags & kMapLocked) != 0 && !may_lock()) return fail(Errno::perm);
  if (!may_lock_more(vma.flags, length)) return fail(Errno::again);

  switch (flags & type_mask) {
    case kMapShared:
      if (anonymous && (vma.flags & kVmGrowsDown) != 0) return fail(Errno::inval);
      if (backing != nullptr && !backing->writable()) {
        if ((vma.flags & kVmWrite) != 0) return fail(Errno::acces);
        vma.flags = (vma.flags & ~kVmShared) | kVmNeverWrite;
      }
      break;
    case kMapDroppable:
      if (!anonymous || (flags & (kMapLocked | kMapHugeTlb)) != 0) return fail(Errno::inval);
      if ((vma.flags & kVmGrowsDown) != 0) return fail(Errno::inval);
      vma.flags |= kVmDroppable | kVmNoReserve | kVmWipeOnFork | kVmDontDump;
      break;
    case kMapPrivate: break;
    default: return fail(Errno::inval);
  }
  vma.pgoff = start >> kPageShift;
  if (!anonymous) {
    vma.kind = VmaKind::file;
    vma.file = arguments.file;
    vma.backing = backing;
    vma.pgoff = arguments.file_offset >> kPageShift;
  } else if ((vma.flags & kVmShared) != 0) {
    vma.kind = VmaKind::file;
    vma.pgoff = 0;
  }
  if ((flags & kMapNoReserve) != 0 && frames_.commit().policy().mode != Overcommit::never) vma.flags |= kVmNoReserve;
  if (anonymous && (vma.flags & kVmShared) != 0) {
    // shmem_zero_setup(): a file of its own, promised as a whole.
    const std::uint64_t charged = (vma.flags & kVmNoReserve) == 0 ? vma.pages() : 0;
    if (charged > 0 && !charge(charged)) return fail(Errno::nomem);
    vma.backing = OpenFile::shared_memory(frames_, length, charged);
  }
  const auto mapped = map_region(vma);
  if (vma.backing != backing) vma.backing->release();  // the mapping has it now
  FL_CHECK(mapped);
  if ((vma.flags & kVmLocked) != 0 || (flags & (kMapPopulate | kMapNonBlock)) == kMapPopulate) {
    (void)populate_range(start, end, true);
  }
  return VirtAddr(start);
}

// __mmap_region(): what lies in the range makes room.
Result<void, Errno> AddressSpace::map_region(Vma vma) {
  std::uint64_t replaced = 0;
  std::uint64_t replaced_charge = 0;
  const Vma* first = vmas_.find(vma.start);
  for (const Vma* old = first; old != nullptr && old->start < vma.end; old = vmas_.find(old->end)) {
    const std::uint64_t pages = (std::min(old->end, vma.end) - std::max(old->start, vma.start)) >> kPageShift;
    replaced += pages;
    if ((old->flags & kVmAccount) != 0) replaced_charge += pages;
  }
  if (replaced != 0 && vma.start > first->start && vma.end < first->end && vmas_.size() >= profile_.max_map_count) {
    return fail(Errno::nomem);
  }
  // accountable_mapping(): private writable memory counts against the commit limit.
  const bool accountable = (vma.flags & (kVmNoReserve | kVmShared | kVmWrite)) == kVmWrite;
  const std::uint64_t more = accountable && vma.pages() > replaced_charge ? vma.pages() - replaced_charge : 0;
  if (!may_expand(vma.flags, vma.pages() - replaced) || (more != 0 && !charge(more))) {
    // The mappings at the ends of the range were split before the refusal and stay so (vms_abort_munmap_vmas()).
    split_anyway(vma.start);
    split_anyway(vma.end);
    return fail(Errno::nomem);
  }
  if (accountable) {
    vma.flags |= kVmAccount;
    frames_.commit().charge_anyway(vma.pages() - more);  // unmapping gives this much back
  }
  if (replaced != 0) FL_CHECK(unmap_range(vma.start, vma.end));
  Vma& added = add_mapping(vma, false);
  if ((vma.flags & (kVmSpecial | kVmDroppable)) != 0 && (vma.flags & kVmLocked) != 0) {
    // Such memory is never locked, and yet populated: mlockall(MCL_FUTURE) asked for that before.
    added.flags &= ~kVmLockedMask;
    mapped_.locked -= vma.pages();
  }
  return {};
}

void AddressSpace::install_mapping(const Vma& vma) {
  if ((vma.flags & kVmAccount) != 0) frames_.commit().charge_anyway(vma.pages());
  vmas_.insert(vma);
  count_mapped(vma, vma.pages());
}

}  // namespace faultline::mm
