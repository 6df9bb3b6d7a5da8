// What execve does to an address space beside system calls. Counterpart: vm_brk_flags() (mm/vma.c), setup_arg_pages() (fs/exec.c).
#include "base/assert.h"
#include "mm/space/address_space.h"

namespace faultline::mm {

Result<void, Errno> AddressSpace::map_bss(VirtAddr start, ByteCount length, bool executable) {
  const std::uint64_t bytes = page_ceil(length.value);
  if (bytes < length.value) return fail(Errno::nomem);
  if (bytes == 0) return {};
  if (bytes > profile_.task_end || start.value > profile_.task_end - bytes) return fail(Errno::nomem);
  if (!start.page_aligned()) return fail(Errno::inval);
  if (start.value < profile_.dac_mmap_min_addr && !capabilities_.sys_rawio) return fail(Errno::perm);
  const std::uint64_t end = start.value + bytes;
  FL_CHECK(unmap_range(start.value, end));
  Vma vma;
  vma.start = start.value;
  vma.end = end;
  vma.pgoff = start.value >> kPageShift;
  vma.flags = kVmRead | kVmWrite | kVmAccount | (executable ? kVmExec : 0);
  if (!may_expand(vma.flags, vma.pages())) return fail(Errno::nomem);
  if (vmas_.size() > profile_.max_map_count || !charge(vma.pages())) return fail(Errno::nomem);
  add_mapping(vma, true);
  return {};
}

Result<void, Errno> AddressSpace::grow_stack(VirtAddr to) {
  const Vma* vma = vmas_.find(to.value);
  if (vma == nullptr) return fail(Errno::fault);
  if (vma->start <= to.value) return {};
  if (expand_stack(to.value) == nullptr) return fail(Errno::nomem);
  return {};
}

Result<VirtAddr, Errno> AddressSpace::find_area(ByteCount length) const {
  FL_TRY(const std::uint64_t start, unmapped_area(0, page_ceil(length.value), 0, std::nullopt));
  return VirtAddr(start);
}

Result<void, Errno> AddressSpace::insert_stack(VirtAddr end) {
  Vma vma;
  vma.start = end.value - kPageSize;
  vma.end = end.value;
  vma.pgoff = vma.start >> kPageShift;
  vma.flags = kVmRead | kVmWrite | kVmGrowsDown | kVmAccount;
  FL_ASSERT(!vmas_.overlaps(vma.start, vma.end));
  if (!charge(1)) return fail(Errno::nomem);
  add_mapping(vma, false);
  return {};
}

void AddressSpace::insert_special(VirtAddr start, PageCount pages, VmFlags flags, std::uint32_t file) {
  Vma vma;
  vma.start = start.value;
  vma.end = start.value + pages.bytes().value;
  FL_ASSERT(!vmas_.overlaps(vma.start, vma.end));
  vma.flags = flags | kVmDontExpand;
  vma.kind = VmaKind::file;
  vma.file = file;
  add_mapping(vma, false);
}

}  // namespace faultline::mm
