#include "replay/follow/image_start.h"

#include <algorithm>
#include <vector>

#include "base/assert.h"

namespace faultline::replay {
namespace {

using trace::MappingEvent;

bool is_stack(const MappingEvent& mapping) { return mapping.path == "[stack]"; }
bool is_special(const MappingEvent& mapping) { return mapping.path.starts_with("[v"); }  // [vdso], [vvar], [vvar_vclock]
bool is_anonymous(const MappingEvent& mapping) { return mapping.path == "//anon" || mapping.path == "[heap]" || mapping.path.empty(); }

// What is left of each mapping after those that were made over it. The first mapping of an interpreter is made as large as the
// whole file's image, then cut to its segment (elf_load()): that cut is no record, so a later mapping of the same file ends it.
std::vector<MappingEvent> settled(std::span<const MappingEvent> mapped) {
  std::vector<MappingEvent> out;
  for (const MappingEvent& mapping : mapped) {
    if (is_stack(mapping)) {  // told again at each growth
      std::erase_if(out, is_stack);
    } else {
      for (MappingEvent& earlier : out) {
        const bool overlaps = earlier.start < mapping.end && mapping.start < earlier.end;
        if (overlaps) earlier.end = std::max(earlier.start, std::min(earlier.end, mapping.start));
      }
      std::erase_if(out, [](const MappingEvent& earlier) { return earlier.start == earlier.end; });
    }
    out.push_back(mapping);
  }
  std::sort(out.begin(), out.end(), [](const MappingEvent& x, const MappingEvent& y) { return x.start < y.start; });
  return out;
}

}  // namespace

mm::AddressSpace::Layout layout_of_image(std::span<const MappingEvent> mapped, std::uint64_t first_break) {
  std::uint64_t base = 0, program_end = 0;
  const MappingEvent* program = nullptr;
  for (const MappingEvent& mapping : mapped) {
    if (is_stack(mapping) || mapping.path == "[vsyscall]") continue;
    base = std::max(base, mapping.end);
    if (program == nullptr && !is_special(mapping) && !is_anonymous(mapping)) program = &mapping;
    if (program != nullptr && mapping.inode == program->inode) program_end = std::max(program_end, mapping.end);
  }
  mm::AddressSpace::Layout layout;
  if (base != 0) layout.mmap_base = VirtAddr(base);  // the interpreter, or the vdso of a static program, was placed highest
  layout.start_brk = VirtAddr(first_break != 0 ? first_break : program_end);
  return layout;
}

void map_image(mm::AddressSpace& space, std::span<const MappingEvent> mapped, trace::Pid pid, RecordedFiles& files) {
  for (const MappingEvent& mapping : settled(mapped)) {
    const ByteCount length(mapping.end - mapping.start);
    if (is_stack(mapping)) {
      FL_ASSERT(space.insert_stack(VirtAddr(mapping.end)));
      (void)space.grow_stack(VirtAddr(mapping.start));
    } else if (is_special(mapping)) {
      const mm::VmFlags rights = (mapping.prot & 4) != 0 ? mm::kVmRead | mm::kVmExec : mm::kVmRead | mm::kVmIo | mm::kVmPfnMap;
      const std::uint32_t number = files.unknown().number;
      files.name_special(number, mapping.path);
      space.insert_special(VirtAddr(mapping.start), PageCount(length.value >> kPageShift), rights, number);
    } else if (is_anonymous(mapping)) {
      (void)space.map_bss(VirtAddr(mapping.start), length, (mapping.prot & mm::kProtExec) != 0);
    } else {
      mm::MmapArguments arguments;
      arguments.address = VirtAddr(mapping.start);
      arguments.length = length;
      arguments.prot = mapping.prot;
      arguments.flags = mm::kMapFixed | (mapping.flags & (mm::kMapShared | mm::kMapPrivate));
      const FileChoice file = files.choose(mapping, pid, RecordedFiles::kByExecve, false);
      arguments.backing = file.backing;
      arguments.file = file.number;
      arguments.file_offset = mapping.offset;
      (void)space.mmap(arguments);
    }
  }
}

}  // namespace faultline::replay
