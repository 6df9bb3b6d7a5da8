#include "lab/picture.h"

#include <fmt/format.h>

#include <algorithm>

#include "lab/lab.h"
#include "lab/quantity.h"
#include "mm/backing/open_file.h"

namespace faultline::lab {

namespace {

constexpr std::uint64_t kCells = 32;

void add(Residency& sum, const mm::AddressSpace& space, const mm::Pte& pte) {
  if (pte.guard()) {
    ++sum.guards;
  } else if (pte.zero_page()) {
    ++sum.zero;
  } else if (pte.maps_frame()) {
    ++sum.frames;
    if (pte.huge()) ++sum.huge;
    if (space.page_table().frames().at(pte.pfn()).users > 1) ++sum.shared;
  }
}

char cell_of(const Residency& cell) {
  if (cell.huge == cell.pages) return 'H';
  if (cell.frames == cell.pages) return cell.shared == cell.pages ? 's' : '#';
  if (cell.frames != 0) return '+';
  if (cell.guards != 0) return 'g';
  return cell.zero != 0 ? '0' : '.';
}

struct Cells {
  std::uint64_t start, pages, count;
  explicit Cells(const mm::Vma& vma) : start(vma.start), pages(vma.pages()), count(std::min(pages, kCells)) {}
  // Products of a page count below 2^36 and 32 fit.
  std::uint64_t first_page(std::uint64_t cell) const { return cell * pages / count; }
  std::uint64_t address(std::uint64_t cell) const { return start + first_page(cell) * kPageSize; }
  std::uint64_t of(std::uint64_t address) const {
    std::uint64_t cell = std::min(count - 1, (address - start) / kPageSize * count / pages);
    while (cell + 1 < count && first_page(cell + 1) <= (address - start) / kPageSize) ++cell;
    return cell;
  }
};

std::string bar_of(const mm::AddressSpace& space, const mm::Vma& vma) {
  const Cells cells(vma);
  std::vector<Residency> sums(cells.count);
  for (std::uint64_t i = 0; i < cells.count; ++i) sums[i].pages = cells.first_page(i + 1) - cells.first_page(i);
  space.page_table().for_each(vma.start, vma.end, [&](std::uint64_t at, const mm::Pte& pte) { add(sums[cells.of(at)], space, pte); });
  std::string bar;
  for (const Residency& cell : sums) bar += cell_of(cell);
  return bar;
}

// Whose memory each cell of the heap begins in: a block's first letter, - free, = top, * malloc's own.
std::string blocks_bar(LabProcess& process, const mm::Vma& vma) {
  const Cells cells(vma);
  std::string bar(cells.count, ' ');
  std::map<std::uint64_t, char> letters;
  for (const auto& [name, block] : process.blocks()) letters[block.address] = name[0];
  const HeapMemory::Peek peek(process.memory());
  process.heap().for_each_chunk([&](heap::Address chunk, std::uint64_t size, heap::ChunkUse use) {
    if (chunk >= vma.end || chunk + size <= vma.start) return;
    char letter = '-';
    if (use == heap::ChunkUse::top) letter = '=';
    if (use == heap::ChunkUse::own) letter = '*';
    if (use == heap::ChunkUse::live) {
      const auto named = letters.find(chunk + heap::kChunkHeader);
      letter = named == letters.end() ? '*' : named->second;
    }
    for (std::uint64_t cell = cells.of(std::max(chunk, vma.start)); cell < cells.count && cells.address(cell) < chunk + size; ++cell) {
      if (cells.address(cell) >= chunk) bar[cell] = letter;
    }
  });
  return bar;
}

}  // namespace

Residency residency(const mm::AddressSpace& space, std::uint64_t start, std::uint64_t end) {
  Residency sum;
  sum.pages = (page_ceil(end) - page_floor(start)) >> kPageShift;
  space.page_table().for_each(page_floor(start), page_ceil(end), [&](std::uint64_t, const mm::Pte& pte) { add(sum, space, pte); });
  return sum;
}

std::string Residency::to_string() const {
  std::string text = fmt::format("{} of {}", frames, count_text(pages, "page"));
  if (huge != 0) text += fmt::format(", {} in huge pages", huge);
  if (shared != 0) text += fmt::format(", {} shared", shared);
  if (zero != 0) text += fmt::format(", {} zero page", zero);
  if (guards != 0) text += fmt::format(", {} guarded", guards);
  return text;
}

std::string name_of_mapping(const Lab& lab, const LabProcess& process, const mm::Vma& vma) {
  const mm::elf::StartState& start = process.start();
  std::string names;
  for (const auto& [name, block] : process.blocks()) {
    const bool own = block.kind == Block::Kind::mapping || vma.tag == mm::VmaTag::mmapped_chunk;
    const bool here = block.address < vma.end && block.address + std::max<std::uint64_t>(block.size, 1) > vma.start;
    if (own && block.address != 0 && !block.lost && here) names += (names.empty() ? "" : " ") + name;
  }
  if (!vma.anonymous()) {
    if (vma.file == mm::elf::kVdsoFile) return "vdso";
    if (vma.file == mm::elf::kVvarFile || vma.file == mm::elf::kVvarClockFile) return "vvar";
    if (vma.backing != nullptr) return (names.empty() ? "" : names + " ") + "(" + lab.name_of_file(vma.backing->object()) + ")";
    const auto file = process.file_names().find(vma.file);
    if (file == process.file_names().end()) return names.empty() ? "file" : names;
    const std::string_view part = (vma.flags & mm::kVmExec) != 0 ? "text" : (vma.flags & mm::kVmWrite) != 0 ? "data" : "rodata";
    return fmt::format("{} of {}", part, file->second.substr(file->second.rfind('/') + 1));
  }
  if (vma.tag == mm::VmaTag::heap) return "heap";
  if ((vma.flags & mm::kVmGrowsDown) != 0 && vma.contains(start.stack_pointer)) return "stack";
  if (names.empty() && vma.end <= page_ceil(process.space().start_brk().value) && vma.start >= start.start_code) return "bss";
  return names.empty() ? "anonymous" : names;
}

std::vector<std::string> picture_of(Lab& lab, LabProcess& process) {
  std::vector<std::string> lines;
  const mm::AddressSpace& space = process.space();
  std::uint64_t end = 0;
  space.vmas().for_each([&](const mm::Vma& vma) {
    if (end != 0 && vma.start != end) lines.push_back(fmt::format("  ...             {}", about_text(vma.start - end)));
    end = vma.end;
    std::string rights;
    rights += (vma.flags & mm::kVmRead) != 0 ? 'r' : '-';
    rights += (vma.flags & mm::kVmWrite) != 0 ? 'w' : '-';
    rights += (vma.flags & mm::kVmExec) != 0 ? 'x' : '-';
    rights += (vma.flags & mm::kVmMayShare) != 0 ? 's' : 'p';
    const std::string bar = bar_of(space, vma);
    std::string line = fmt::format("{:#014x}  {:>9} {} [{}]", vma.start, size_text(vma.length()), rights, bar);
    line = fmt::format("{:<66} {}: {}", line, name_of_mapping(lab, process, vma), residency(space, vma.start, vma.end).to_string());
    lines.push_back(std::move(line));
    if (vma.tag == mm::VmaTag::heap && process.has_heap()) lines.push_back(fmt::format("{:>30} {}", "", blocks_bar(process, vma)));
    const std::uint64_t brk = space.current_brk().value;
    if (vma.tag == mm::VmaTag::heap && brk > vma.start && brk <= vma.end) lines.push_back(fmt::format("{:#014x}  break", brk));
  });
  lines.push_back(fmt::format("{:#014x}  the kernel's half, no access", space.profile().task_end + kPageSize));
  return lines;
}

std::string_view picture_legend() {
  return "pages: # has a frame, + some of the cell, H huge page, s shared frame, 0 zero page, . untouched, g guard; blocks: letter, - free, = top, * malloc's own";
}

}  // namespace faultline::lab
