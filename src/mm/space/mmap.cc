// mmap(2). Counterpart: do_mmap() and __mmap_region() (mm/mmap.c, mm/vma.c).
#include <algorithm>

#include "mm/space/address_space.h"

namespace faultline::mm {

namespace {

VmFlags vm_flags_of(Prot prot, MapFlags flags) {
  VmFlags vm = 0;
  if ((prot & kProtRead) != 0) vm |= kVmRead;
  if ((prot & kProtWrite) != 0) vm |= kVmWrite;
  if ((prot & kProtExec) != 0) vm |= kVmExec;
  if ((flags & kMapShared) != 0) vm |= kVmShared;
  if ((flags & kMapGrowsDown) != 0) vm |= kVmGrowsDown;
  if ((flags & kMapNoReserve) != 0) vm |= kVmNoReserve;
  if ((flags & kMapStack) != 0) vm |= kVmNoHugePage;  // since 6.7: thread stacks get no huge pages
  // accountable_mapping(): private writable memory counts against the commit limit.
  if ((vm & (kVmNoReserve | kVmShared | kVmWrite)) == kVmWrite) vm |= kVmAccount;
  return vm;
}

}  // namespace

Result<VirtAddr, Errno> AddressSpace::mmap(const MmapArguments& arguments) {
  constexpr MapFlags type_mask = 0x0f;
  if (arguments.length.value == 0) return fail(Errno::inval);
  MapFlags flags = arguments.flags;
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

  const bool anonymous = (flags & kMapAnonymous) != 0;
  FL_TRY(const std::uint64_t start, unmapped_area(hint, length, flags, anonymous));
  const std::uint64_t end = start + length;
  if ((flags & kMapFixedNoReplace) != 0 && vmas_.overlaps(start, end)) return fail(Errno::exist);
  const MapFlags type = flags & type_mask;
  if (type != kMapPrivate && type != kMapShared) return fail(Errno::inval);

  Vma vma;
  vma.start = start;
  vma.end = end;
  vma.flags = vm_flags_of(arguments.prot, flags);
  vma.tag = arguments.tag;
  vma.pgoff = start >> kPageShift;
  if (!anonymous) {
    vma.kind = VmaKind::file;
    vma.file = arguments.file;
    vma.pgoff = arguments.file_offset >> kPageShift;
  } else if (type == kMapShared) {
    vma.kind = VmaKind::file;
    vma.file = next_shared_file_++;
    vma.pgoff = 0;
  }
  std::uint64_t replaced = 0;
  for (const Vma* old = vmas_.find(start); old != nullptr && old->start < end; old = vmas_.find(old->end)) {
    replaced += (std::min(old->end, end) - std::max(old->start, start)) >> kPageShift;
  }
  if (!may_expand(vma.flags, vma.pages() - replaced)) return fail(Errno::nomem);
  if (replaced != 0) FL_CHECK(unmap_range(start, end));
  add_mapping(vma, false);
  if ((flags & (kMapPopulate | kMapNonBlock)) == kMapPopulate) populate(start, end);
  return VirtAddr(start);
}

}  // namespace faultline::mm
