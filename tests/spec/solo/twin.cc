#include "twin.h"

#include <iterator>
#include <sstream>

namespace faultline::spec::solo {

namespace {

mm::VmFlags vm_flags(const std::string& letters) {
  mm::VmFlags flags = 0;
  std::istringstream words(letters);
  for (std::string word; words >> word;) {
    if (word == "rd") flags |= mm::kVmRead;
    if (word == "wr") flags |= mm::kVmWrite;
    if (word == "ex") flags |= mm::kVmExec;
    if (word == "sh") flags |= mm::kVmShared;
    if (word == "ms") flags |= mm::kVmMayShare;
    if (word == "gd") flags |= mm::kVmGrowsDown;
    if (word == "ac") flags |= mm::kVmAccount;
    if (word == "nr") flags |= mm::kVmNoReserve;
    if (word == "io") flags |= mm::kVmIo;
    if (word == "pf") flags |= mm::kVmPfnMap;
    if (word == "de") flags |= mm::kVmDontExpand;
    if (word == "dd") flags |= mm::kVmDontDump;
  }
  return flags;
}

}  // namespace

Twin::Twin(const Kernel& kernel) : machine_(mm::Machine::create()) {
  name_mappings(kernel);
  mm::AddressSpace::Layout layout;
  layout.start_brk = VirtAddr(kernel.start_brk());
  for (const Present& one : kernel.present()) {
    if (one.name == "[vdso]") layout.mmap_base = VirtAddr(one.end);  // execve of a static program places nothing above it
  }
  for (std::size_t resource = 0; resource < std::size(in_use_.hard); ++resource) {
    in_use_.hard[resource] = kernel.hard_limit(static_cast<int>(resource));
  }
  pid_ = machine_->start(layout).pid();
  machine_->process(pid_).run([&](mm::AddressSpace& space) {
    space.set_thp_disabled(true);  // as the child has it
    std::uint32_t number = 0;
    for (const Present& one : kernel.present()) {
      ++number;
      if (one.name == "[vsyscall]") continue;  // in the kernel's half, no mapping of the process
      mm::Vma vma;
      vma.start = one.start;
      vma.end = one.end;
      vma.flags = vm_flags(one.flags);
      vma.pgoff = one.start / kPage;
      if (one.inode != 0) vma.pgoff = one.offset / kPage;
      if (one.name == "[stack]") names_.start_stack = one.end - 1;
      const bool anonymous = one.name.empty() || one.name == "[stack]" || one.name == "[heap]";
      vma.kind = anonymous ? mm::VmaKind::anonymous : mm::VmaKind::file;
      vma.file = anonymous ? 0 : number;
      // Data below the break may join the heap, which mappings of different tags never do.
      if (one.end == kernel.start_brk()) vma.tag = mm::VmaTag::heap;
      space.install_mapping(vma);
      if ((vma.flags & (mm::kVmIo | mm::kVmPfnMap)) != 0) continue;
      for (std::uint64_t at = vma.start; at < vma.end; at += kPage) (void)space.access(VirtAddr(at), vma.writable());
    }
  });
}

void Twin::name_mappings(const Kernel& kernel) {
  names_.command = "solo";
  names_.of = [present = kernel.present()](const mm::Vma& vma) -> mm::MappingName {
    if (vma.file == 0) return {};
    const Present& one = present.at(vma.file - 1);
    return {one.name, one.device_major, one.device_minor, one.inode};
  };
}

Answer Twin::run(const Call& call) {
  mm::Process& process = machine_->process(pid_);
  const mm::FaultCounters before = process.faults();
  Answer answer = process.run([&](mm::AddressSpace& space) { return perform(space, call, in_use_, true); });
  answer.minor_faults = process.faults().minor - before.minor;
  answer.major_faults = process.faults().major - before.major;
  return answer;
}

void Twin::put_maps(std::uint64_t start, std::uint64_t end, std::uint64_t origin, std::vector<std::uint64_t>& words) const {
  for (const mm::Vma* vma = space().vmas().find(start); vma != nullptr && vma->start < end; vma = space().vmas().find(vma->end)) {
    const std::uint64_t access = (vma->flags & mm::kVmAccess) | ((vma->flags & mm::kVmMayShare) != 0 ? 8 : 0);
    words.push_back(packed((vma->start - origin) / kPage, (vma->end - origin) / kPage, access));
  }
}

void Twin::put_pages(std::uint64_t start, std::uint64_t end, std::uint64_t origin, std::vector<std::uint64_t>& words) const {
  std::uint64_t last_state = 0;
  std::uint64_t last_end = 0;
  space().page_table().for_each(start, end, [&](std::uint64_t at, const mm::Pte& pte) {
    std::uint64_t state = kPageGuard | kPageSwapped;
    if (!pte.guard()) {
      state = kPagePresent | (pte.zero_page() ? kPageZero : 0);
      if (pte.maps_frame() && machine_->frames().at(pte.pfn()).use != mm::FrameUse::anonymous) state |= kPageFile;
    }
    const std::uint64_t page = (at - origin) / kPage;
    if (last_end == page && last_state == state) {
      words.back() += std::uint64_t{1} << 24;
    } else {
      words.push_back(packed(page, page + 1, state));
    }
    last_state = state;
    last_end = page + 1;
  });
}

void Twin::observe(const Answer& answer, const Watch& watch, std::vector<std::uint64_t>& words) const {
  words.push_back(static_cast<std::uint64_t>(answer.value));
  words.push_back(static_cast<std::uint32_t>(answer.error) | answer.minor_faults << 32);
  words.push_back(answer.refused | std::uint64_t{answer.no_access} << 16 | answer.major_faults << 32);
  const std::size_t counts = words.size();
  words.push_back(0);
  const std::uint64_t heap = space().start_brk().value;
  put_maps(kWindow, kWindow + kWindowBytes, kWindow, words);
  put_maps(heap, heap + kHeapPages * kPage, heap - kHeapMargin * kPage, words);
  const std::size_t maps = words.size() - counts - 1;
  put_pages(kWindow, kWindow + watch.room_pages * kPage, kWindow, words);
  put_pages(heap, heap + kHeapPages * kPage, heap - kHeapMargin * kPage, words);
  words[counts] = maps | (words.size() - counts - 1 - maps) << 32;
}

}  // namespace faultline::spec::solo
