#include "mm/machine/proc_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "mm/machine/smaps_counts.h"

namespace faultline::mm {

namespace {

constexpr std::size_t kNameColumn = 25 + sizeof(void*) * 6 - 1;  // show_vma_header_prefix(): names begin behind it

constexpr std::uint64_t kib(std::uint64_t pages) { return pages * (kPageSize / 1024); }

void put_header(std::string& out, std::uint64_t start, std::uint64_t end, const char* access, std::uint64_t offset,
                const MappingName& name) {
  const std::size_t line = out.size();
  fmt::format_to(std::back_inserter(out), "{:08x}-{:08x} {} {:08x} {:02x}:{:02x} {} ", start, end, access, offset,
                 name.device_major, name.device_minor, name.inode);
  if (!name.text.empty()) {
    const std::size_t width = out.size() - line;
    out.append(width < kNameColumn ? kNameColumn - width + 1 : 1, ' ');
    // seq_path() escapes what would break the line.
    for (const char c : name.text) c == '\n' ? out += "\\012" : out += c;
  }
  out += '\n';
}

// get_vma_name(): files by their path; else heap and stack by where they lie.
MappingName name_of(const AddressSpace& space, const Vma& vma, const ProcNames& names) {
  MappingName name = names.of ? names.of(vma) : MappingName{};
  if (!name.text.empty() || !vma.anonymous()) return name;
  if (vma.start < space.current_brk().value && vma.end > space.start_brk().value) {
    name.text = "[heap]";
  } else if (names.start_stack != 0 && vma.start <= names.start_stack && vma.end >= names.start_stack) {
    name.text = "[stack]";
  }
  return name;
}

void put_mapping(std::string& out, const AddressSpace& space, const Vma& vma, const ProcNames& names) {
  const char access[] = {(vma.flags & kVmRead) != 0 ? 'r' : '-', (vma.flags & kVmWrite) != 0 ? 'w' : '-',
                         (vma.flags & kVmExec) != 0 ? 'x' : '-', (vma.flags & kVmMayShare) != 0 ? 's' : 'p', 0};
  const MappingName name = name_of(space, vma, names);
  const bool file = !vma.anonymous() && (vma.flags & kVmSpecial) == 0;  // the vdso has no offset either
  put_header(out, vma.start, vma.end, access, file ? vma.pgoff << kPageShift : 0, name);
}

void put_counts(std::string& out, const SmapsCounts& counts, bool rollup) {
  const auto line = [&](const char* name, std::uint64_t bytes) {
    fmt::format_to(std::back_inserter(out), "{:<16}{:>8} kB\n", name, bytes >> 10);
  };
  line("Rss:", counts.resident);
  line("Pss:", counts.pss >> 12);
  line("Pss_Dirty:", counts.pss_dirty >> 12);
  if (rollup) {
    line("Pss_Anon:", counts.pss_anonymous >> 12);
    line("Pss_File:", counts.pss_file >> 12);
    line("Pss_Shmem:", counts.pss_shmem >> 12);
  }
  line("Shared_Clean:", counts.shared_clean);
  line("Shared_Dirty:", counts.shared_dirty);
  line("Private_Clean:", counts.private_clean);
  line("Private_Dirty:", counts.private_dirty);
  line("Referenced:", counts.referenced);
  line("Anonymous:", counts.anonymous);
  line("KSM:", 0);
  line("LazyFree:", counts.lazy_free);
  line("AnonHugePages:", counts.anonymous_huge);
  for (const char* name : {"ShmemPmdMapped:", "FilePmdMapped:", "Shared_Hugetlb:", "Private_Hugetlb:", "Swap:",
                           "SwapPss:"}) {
    line(name, 0);
  }
  line("Locked:", counts.pss_locked >> 12);
}

// show_smap_vma_flags(), in the order of the kernel's bits.
std::string flag_letters(const Vma& vma) {
  static constexpr std::array<std::pair<VmFlags, const char*>, 25> letters = {{
      {kVmRead, "rd "},         {kVmWrite, "wr "},       {kVmExec, "ex "},       {kVmShared, "sh "},      {0, "mr "},
      {0, "mw "},               {0, "me "},              {kVmMayShare, "ms "},     {kVmGrowsDown, "gd "},   {kVmPfnMap, "pf "},   {kVmMaybeGuard, "gu "},
      {kVmLocked, "lo "},       {kVmIo, "io "},          {kVmSequentialRead, "sr "}, {kVmRandomRead, "rr "},
      {kVmDontCopy, "dc "},     {kVmDontExpand, "de "},  {kVmLockOnFault, "lf "}, {kVmAccount, "ac "},    {kVmNoReserve, "nr "},
      {kVmWipeOnFork, "wf "},   {kVmDontDump, "dd "},    {kVmHugePage, "hg "},   {kVmNoHugePage, "nh "},  {kVmMergeable, "mg "},
  }};
  std::string text = "VmFlags: ";
  for (const auto& [flag, name] : letters) {
    const bool may = flag == 0 && !(name[1] == 'w' && (vma.flags & kVmNeverWrite) != 0);
    if (may || (vma.flags & flag) != 0) text += name;
  }
  if ((vma.flags & kVmDroppable) != 0) text += "dp ";
  return text + '\n';
}

void put_smaps(std::string& out, std::uint64_t bytes, const SmapsCounts& counts, const std::string& letters, bool huge) {
  fmt::format_to(std::back_inserter(out), "{:<16}{:>8} kB\n{:<16}{:>8} kB\n{:<16}{:>8} kB\n", "Size:", bytes >> 10,
                 "KernelPageSize:", kPageSize >> 10, "MMUPageSize:", kPageSize >> 10);
  put_counts(out, counts, false);
  fmt::format_to(std::back_inserter(out), "THPeligible:    {:>8}\n", huge ? 1 : 0);
  out += letters;
}

constexpr std::uint64_t kVsyscall = 0xffff'ffff'ff60'0000;

struct Resident {
  std::uint64_t anonymous = 0, file = 0, shmem = 0;  // pages
  std::uint64_t all() const { return anonymous + file + shmem; }
};

Resident resident_of(const AddressSpace& space) {
  Resident resident;
  for (const TagStatistics& tag : space.statistics().by_tag) {
    resident.anonymous += tag.resident_pages;
    resident.file += tag.resident_file_pages;
    resident.shmem += tag.resident_shmem_pages;
  }
  return resident;
}

std::uint64_t code_pages(const ProcNames& names) {
  return (page_ceil(names.end_code) - page_floor(names.start_code)) >> kPageShift;
}

}  // namespace

std::string maps_text(const AddressSpace& space, const ProcNames& names) {
  std::string out;
  space.vmas().for_each([&](const Vma& vma) { put_mapping(out, space, vma, names); });
  if (names.vsyscall) put_header(out, kVsyscall, kVsyscall + kPageSize, "--xp", 0, {.text = "[vsyscall]"});
  return out;
}

std::string smaps_text(const AddressSpace& space, const ProcNames& names) {
  std::string out;
  space.vmas().for_each([&](const Vma& vma) {
    put_mapping(out, space, vma, names);
    SmapsCounts counts;
    counts.add(space, vma);
    put_smaps(out, vma.length(), counts, flag_letters(vma), space.huge_page_eligible(vma));
  });
  if (names.vsyscall) {
    put_header(out, kVsyscall, kVsyscall + kPageSize, "--xp", 0, {.text = "[vsyscall]"});
    put_smaps(out, kPageSize, {}, "VmFlags: ex \n", false);
  }
  return out;
}

std::string smaps_rollup_text(const AddressSpace& space) {
  SmapsCounts counts;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  space.vmas().for_each([&](const Vma& vma) {
    if (end == 0) first = vma.start;
    end = vma.end;
    counts.add(space, vma);
  });
  std::string out;
  put_header(out, first, end, "---p", 0, {.text = "[rollup]"});
  put_counts(out, counts, true);
  return out;
}

// task_statm(): size resident shared text lib data dt, in pages.
std::string statm_text(const AddressSpace& space, const ProcNames& names) {
  const Resident resident = resident_of(space);
  const MappedPages& mapped = space.mapped();
  return fmt::format("{} {} {} {} 0 {} 0\n", mapped.total, resident.all(), resident.file + resident.shmem, code_pages(names),
                     mapped.data + mapped.stack);
}

// task_mem().
std::string status_text(const AddressSpace& space, const ProcNames& names) {
  const Resident resident = resident_of(space);
  const MappedPages& mapped = space.mapped();
  const std::uint64_t code = std::min(code_pages(names), mapped.exec);
  std::string out;
  const auto line = [&](const char* name, std::uint64_t pages) {
    fmt::format_to(std::back_inserter(out), "{}\t{:>8} kB\n", name, kib(pages));
  };
  line("VmPeak:", space.peak_mapped_pages());
  line("VmSize:", mapped.total);
  line("VmLck:", mapped.locked);
  line("VmPin:", 0);
  line("VmHWM:", space.statistics().peak_resident_pages);
  line("VmRSS:", resident.all());
  line("RssAnon:", resident.anonymous);
  line("RssFile:", resident.file);
  line("RssShmem:", resident.shmem);
  line("VmData:", mapped.data);
  line("VmStk:", mapped.stack);
  line("VmExe:", code);
  line("VmLib:", mapped.exec - code);
  line("VmPTE:", space.page_table().table_pages());
  line("VmSwap:", 0);
  return out;
}

// do_task_stat(): 52 fields (proc_pid_stat(5)); those that are not memory are 0.
std::string stat_text(const Process& process, const ProcNames& names) {
  const AddressSpace& space = process.space();
  const Resident resident = resident_of(space);
  std::array<std::uint64_t, 53> field{};  // by the number of the manual page
  field[10] = process.faults().minor;
  field[12] = process.faults().major;
  field[23] = space.mapped().total << kPageShift;
  field[24] = resident.all();
  field[25] = kUnlimited;
  field[26] = names.start_code;
  field[27] = names.end_code;
  field[28] = names.start_stack;
  field[45] = names.start_data;
  field[46] = names.end_data;
  field[47] = space.start_brk().value;
  field[48] = names.arg_start;
  field[49] = names.arg_end;
  field[50] = names.env_start;
  field[51] = names.env_end;
  std::string out = fmt::format("{} ({}) R {}", process.pid(), names.command, process.parent());
  for (std::size_t number = 5; number < field.size(); ++number) fmt::format_to(std::back_inserter(out), " {}", field[number]);
  return out + '\n';
}

}  // namespace faultline::mm
