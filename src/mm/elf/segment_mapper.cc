#include "mm/elf/segment_mapper.h"

namespace faultline::mm::elf {

namespace {

std::uint64_t in_page(std::uint64_t address) { return address & (kPageSize - 1); }

Prot prot_of(const ProgramHeader& segment) {
  Prot prot = kProtNone;
  if ((segment.flags & kFlagRead) != 0) prot |= kProtRead;
  if ((segment.flags & kFlagWrite) != 0) prot |= kProtWrite;
  if ((segment.flags & kFlagExecute) != 0) prot |= kProtExec;
  return prot;
}

}  // namespace

// Arithmetic is modulo 2^64, as in the kernel: what comes out of nonsense is refused by mmap.
Result<std::uint64_t, Errno> SegmentMapper::map(std::uint64_t address, const ProgramHeader& segment, MapFlags kind,
                                                std::uint64_t total_bytes) {
  const std::uint64_t size = page_ceil(segment.filesz + in_page(segment.vaddr));
  const std::uint64_t offset = segment.offset - in_page(segment.vaddr);
  address = page_floor(address);
  if (size == 0) return address;
  MmapArguments arguments;
  arguments.address = VirtAddr(address);
  arguments.length = ByteCount(total_bytes != 0 ? page_ceil(total_bytes) : size);
  arguments.prot = prot_of(segment);
  arguments.flags = kMapPrivate | kind;
  arguments.file = file_.file;
  arguments.file_offset = offset;
  arguments.file_aligns_huge = file_.aligns_huge;
  arguments.backing = file_.backing;
  if (offset + page_ceil(arguments.length.value) < offset || in_page(offset) != 0) return fail(Errno::inval);  // vm_mmap()
  constexpr std::uint64_t longest_file = ~std::uint64_t{0} >> 1;
  const std::uint64_t length = page_ceil(arguments.length.value);
  if (length > longest_file || offset > longest_file - length) return fail(Errno::overflow);  // file_mmap_ok()
  FL_TRY(const VirtAddr mapped, space_.mmap(arguments));
  // The reservation beyond this segment goes again. A segment longer than the whole has nothing beyond it: EINVAL, ignored.
  if (total_bytes != 0) (void)space_.munmap(VirtAddr(mapped.value + size), ByteCount(arguments.length.value - size));
  return mapped.value;
}

// The kernel writes zeros from the end of the file's part to the end of its page: the page is copied, a fault of the
// process. A page wholly behind the end of the file cannot be had.
bool SegmentMapper::clear_rest_of_page(std::uint64_t from, const ProgramHeader& segment) {
  if (in_page(from) == 0) return true;
  if (file_.backing == nullptr && page_floor(segment.offset + segment.filesz) >= page_ceil(file_.elf->file_bytes())) {
    return false;  // an opaque file does not know its end
  }
  return !refused(space_.access(VirtAddr(from), true));
}

Result<std::uint64_t, Errno> SegmentMapper::load(std::uint64_t address, const ProgramHeader& segment, MapFlags kind,
                                                 std::uint64_t total_bytes) {
  const Prot prot = prot_of(segment);
  std::uint64_t mapped = page_floor(address);
  std::uint64_t zero_start = mapped;
  if (segment.filesz != 0) {
    FL_TRY(mapped, map(address, segment, kind, total_bytes));
    if (bad_address(space_, mapped)) return mapped;
    zero_start = mapped + in_page(segment.vaddr) + segment.filesz;
    if (segment.memsz > segment.filesz) {
      // A segment that may not be written keeps what the file has there.
      const bool cleared = clear_rest_of_page(zero_start, segment);
      if (!cleared && (prot & kProtWrite) != 0) return fail(Errno::fault);
    }
  }
  if (segment.memsz > segment.filesz) {
    const std::uint64_t zero_end = page_ceil(mapped + in_page(segment.vaddr) + segment.memsz);
    zero_start = page_ceil(zero_start);
    FL_CHECK(space_.map_bss(VirtAddr(zero_start), ByteCount(zero_end - zero_start), (prot & kProtExec) != 0));
  }
  return mapped;
}

}  // namespace faultline::mm::elf
