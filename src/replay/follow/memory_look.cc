#include "replay/follow/memory_look.h"

#include "mm/backing/file_object.h"
#include "mm/space/address_space.h"
#include "replay/follow/recorded_files.h"

namespace faultline::replay {
namespace {

PageRun page_of(const mm::AddressSpace& space, std::uint64_t address, const mm::Pte& pte) {
  const mm::Frame& frame = space.page_table().frames().at(pte.pfn());
  PageRun page{address, address + kPageSize};
  if (frame.use == mm::FrameUse::anonymous) {
    page.huge = pte.huge();
    page.shared = frame.users > 1;
  } else {
    const bool dirty = pte.dirty() || (frame.file != nullptr && frame.file->folio(frame.index).dirty);  // PageDirty()
    page.use = frame.use == mm::FrameUse::shmem ? PageUse::shmem : dirty ? PageUse::file_dirty : PageUse::file_clean;
  }
  return page;
}

}  // namespace

std::uint64_t MemoryLook::resident_bytes() const {
  std::uint64_t sum = 0;
  for (const PageRun& run : runs) sum += run.bytes();
  return sum;
}

MemoryLook look_at(const mm::AddressSpace& space, const RecordedFiles& files) {
  MemoryLook look;
  look.there = true;
  look.program_break = space.current_brk().value;
  look.start_of_break = space.start_brk().value;
  look.page_table_bytes = space.page_table().table_bytes().value;
  look.mapped_bytes = space.mapped().total << kPageShift;
  space.vmas().for_each([&](const mm::Vma& vma) {
    look.mappings.push_back({.start = vma.start, .end = vma.end, .name = files.name_of(vma), .file = !vma.anonymous(),
                             .grows_down = (vma.flags & mm::kVmGrowsDown) != 0, .kernels = (vma.flags & mm::kVmPfnMap) != 0});
    if ((vma.flags & mm::kVmPfnMap) != 0) return;
    std::size_t first = look.runs.size();  // of this mapping: runs do not cross its borders
    space.page_table().for_each(vma.start, vma.end, [&](std::uint64_t address, const mm::Pte& pte) {
      if (!pte.maps_frame()) return;
      const PageRun page = page_of(space, address, pte);
      if (look.runs.size() > first) {
        PageRun& last = look.runs.back();
        if (last.end == address && last.use == page.use && last.huge == page.huge && last.shared == page.shared) {
          last.end = page.end;
          return;
        }
      }
      look.runs.push_back(page);
    });
  });
  return look;
}

}  // namespace faultline::replay
