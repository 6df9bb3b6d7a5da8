#include "lab/listings.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "lab/picture.h"
#include "lab/quantity.h"
#include "mm/backing/open_file.h"
#include "mm/machine/proc_text.h"
#include "mm/paging/page_walk.h"

namespace faultline::lab {

namespace {

constexpr std::size_t kChunksShown = 200;

std::string_view name_of(heap::ChunkUse use) {
  switch (use) {
    case heap::ChunkUse::live: return "live";
    case heap::ChunkUse::own: return "malloc's own: the thread's cache";
    case heap::ChunkUse::tcache: return "free, in the thread's cache";
    case heap::ChunkUse::fastbin: return "free, in a fastbin";
    case heap::ChunkUse::bin: return "free, in a bin";
    case heap::ChunkUse::top: return "top: free up to the end of the heap";
    case heap::ChunkUse::fence: return "fence";
  }
  return "";
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// Files have no device and no inode here.
mm::ProcNames proc_names(const Lab& lab, const LabProcess& process) {
  mm::ProcNames names;
  names.of = [&lab, &process](const mm::Vma& vma) -> mm::MappingName {
    if (vma.anonymous()) return {};
    if (vma.file == mm::elf::kVdsoFile) return {.text = "[vdso]"};
    if (vma.file == mm::elf::kVvarFile) return {.text = "[vvar]"};
    if (vma.file == mm::elf::kVvarClockFile) return {.text = "[vvar_vclock]"};
    if (vma.backing != nullptr) return {.text = vma.backing->object().shmem() ? "/dev/zero (deleted)" : lab.name_of_file(vma.backing->object())};
    const auto file = process.file_names().find(vma.file);
    return {.text = file == process.file_names().end() ? "" : file->second};
  };
  names.command = process.name();
  names.start_stack = process.start().stack_pointer;
  return names;
}

}  // namespace

std::vector<std::string> list_processes(const Lab& lab) {
  std::vector<std::string> lines = {fmt::format("{:<12} {:>4} {:>4} {:>8} {:>8} {:>10} {:>12} {:>9}", "NAME", "PID", "PPID", "MINFLT",
                                                "MAJFLT", "RSS", "VSZ", "PTE")};
  for (const auto& [pid, one] : lab.processes()) {
    const mm::AddressSpace& space = one->space();
    lines.push_back(fmt::format("{:<12} {:>4} {:>4} {:>8} {:>8} {:>6} KiB {:>8} KiB {:>5} KiB", one->name(), pid, one->process().parent(),
                                one->process().faults().minor, one->process().faults().major, space.statistics().resident_pages * 4,
                                space.mapped().total * 4, space.page_table().table_pages() * 4));
  }
  return lines;
}

std::vector<std::string> list_maps(const Lab& lab, const LabProcess& process) {
  return lines_of(mm::maps_text(process.space(), proc_names(lab, process)));
}

std::vector<std::string> list_smaps(const Lab& lab, const LabProcess& process) {
  return lines_of(mm::smaps_text(process.space(), proc_names(lab, process)));
}

std::vector<std::string> list_heap(LabProcess& process) {
  if (!process.has_heap()) return {"malloc was not used yet"};
  const HeapMemory::Peek peek(process.memory());
  const heap::HeapState state = process.heap().state();
  std::map<std::uint64_t, std::string> names;
  for (const auto& [name, block] : process.blocks()) names[block.address] = name;
  std::vector<std::string> lines;
  std::size_t left_out = 0;
  if (state.heap_start != 0) {
    process.heap().for_each_chunk([&](heap::Address chunk, std::uint64_t size, heap::ChunkUse use) {
      if (lines.size() >= kChunksShown && use != heap::ChunkUse::top) {
        ++left_out;
        return;
      }
      std::string what(name_of(use));
      if (use == heap::ChunkUse::live) {
        const auto named = names.find(chunk + heap::kChunkHeader);
        what = named != names.end() ? named->second : "live, without a name";
      }
      lines.push_back(fmt::format("{:#014x} {:>12}  {}", chunk, size_text(size), what));
    });
  }
  if (left_out != 0) lines.push_back(fmt::format("... and {}", count_text(left_out, "more chunk")));
  for (const auto& [name, block] : process.blocks()) {
    if (block.kind != Block::Kind::malloced || block.address == 0 || block.lost) continue;
    const heap::ChunkInfo chunk = process.heap().chunk_of(block.address);
    if (chunk.mmapped) lines.push_back(fmt::format("{:#014x} {:>12}  {}, a mapping of its own", chunk.address, size_text(chunk.size), name));
  }
  lines.push_back(fmt::format("thresholds: mmap from {}, trim above {}, top pad {}", size_text(state.mmap_threshold),
                              size_text(state.trim_threshold), size_text(state.top_pad)));
  return lines;
}

std::vector<std::string> list_faults(const LabProcess& process) {
  const mm::FaultCounters& faults = process.process().faults();
  std::vector<std::string> lines = {fmt::format("process {}: minflt {}, majflt {}; since its program was loaded:", process.name(), faults.minor, faults.major)};
  for (std::size_t path = 0; path < mm::kFaultPaths; ++path) {
    std::uint64_t sum = 0;
    for (const mm::TagStatistics& tag : process.space().statistics().by_tag) sum += tag.faults[path];
    if (sum != 0) lines.push_back(fmt::format("{:>8}  {}", sum, mm::name_of(static_cast<mm::FaultPath>(path))));
  }
  return lines;
}

std::vector<std::string> list_walk(Lab& lab, const LabProcess& process, std::uint64_t address) {
  static constexpr std::array<std::string_view, mm::kLevels> names = {"PTE", "PMD", "PUD", "PGD"};
  const mm::AddressSpace& space = process.space();
  std::vector<std::string> lines = {fmt::format("{:#x} in process {}:", address, process.name())};
  if (address >= space.profile().task_end) {
    lines.push_back("the kernel's half, or outside every address space: no user page can be there");
    return lines;
  }
  const mm::PageWalk walk = mm::walk(space.page_table(), VirtAddr(address));
  for (int i = 0; i < walk.length; ++i) {
    const mm::WalkStep& step = walk.steps[static_cast<std::size_t>(i)];
    const auto level = static_cast<std::size_t>(step.level - 1);
    lines.push_back(fmt::format("{}[{:>3}] of the table in frame {:<5} -> {}", names[level], step.index, step.table.value,
                                mm::to_string(step.entry)));
  }
  const mm::Pte last = walk.steps[static_cast<std::size_t>(walk.length - 1)].entry;
  if (!walk.translated) {
    const mm::Vma* vma = space.vmas().find(address);
    const bool mapped = vma != nullptr && vma->contains(address);
    lines.push_back(!mapped ? "no mapping covers it" : last.none() ? "mapped, but never touched: the next access faults" : "mapped, not accessible as it is");
    return lines;
  }
  if (last.zero_page()) {
    lines.push_back("the machine's one zero page: a write faults and gets a frame");
    return lines;
  }
  lines.push_back(fmt::format("physical address {:#x}", last.pfn().value * kPageSize + address % kPageSize));
  std::string users;
  const mm::FrameTable& frames = space.page_table().frames();
  if (frames.at(last.pfn()).users > 1) {
    frames.for_each_user(last.pfn(), [&](const mm::FrameUser& user) {
      for (const auto& [pid, one] : lab.processes()) {
        if (&one->space() == user.space) users += (users.empty() ? "" : ", ") + one->name();
      }
    });
    lines.push_back(fmt::format("the frame is mapped {} times: {}", frames.at(last.pfn()).users, users));
  }
  return lines;
}

}  // namespace faultline::lab
