#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <span>

#include "mm/elf/loader.h"
#include "mm/elf/mmap_layout.h"
#include "program_start.h"

namespace faultline::diff {

namespace {

using mm::elf::ElfFile;
using mm::elf::Role;

class FileBytes {
 public:
  explicit FileBytes(const std::string& path) {
    if (path.empty()) {  // to the kernel the empty path is the working directory, and a directory is not executable
      error = EACCES;
      return;
    }
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) {
      error = errno;
      return;
    }
    struct stat found{};
    ::fstat(file, &found);
    size_ = static_cast<std::size_t>(found.st_size);
    inode = found.st_ino;
    if (!S_ISREG(found.st_mode)) error = EACCES;
    if (error == 0 && size_ != 0) bytes_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    struct statfs system{};
    ::fstatfs(file, &system);
    // The file systems whose f_op->get_unmapped_area is thp_get_unmapped_area.
    constexpr long ext4 = 0xef53, xfs = 0x58465342, btrfs = 0x9123683e;
    aligns_huge = system.f_type == ext4 || system.f_type == xfs || system.f_type == btrfs;
    ::close(file);
    if (::access(path.c_str(), X_OK) != 0) error = errno;
  }
  ~FileBytes() {
    if (bytes_ != nullptr) ::munmap(bytes_, size_);
  }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  std::span<const std::uint8_t> bytes() const { return {static_cast<const std::uint8_t*>(bytes_), size_}; }

  int error = 0;
  ino_t inode = 0;
  bool aligns_huge = false;

 private:
  void* bytes_ = nullptr;
  std::size_t size_ = 0;
};

mm::KernelProfile profile_of_this_machine() {
  static const mm::KernelProfile profile = [] {
    mm::KernelProfile made = mm::KernelProfile::linux_6_18();
    made.vvar_pages = made.vvar_clock_pages = made.vdso_pages = 0;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
      const std::uint64_t start = std::stoull(line, nullptr, 16);
      const std::uint64_t end = std::stoull(line.substr(line.find('-') + 1), nullptr, 16);
      const auto pages = static_cast<std::uint32_t>((end - start) / 4096);
      if (line.ends_with("[vvar]")) made.vvar_pages = pages;
      if (line.ends_with("[vvar_vclock]")) made.vvar_clock_pages = pages;
      if (line.ends_with("[vdso]")) made.vdso_pages = pages;
    }
    return made;
  }();
  return profile;
}

// Not getauxval(): ld.so puts numbers of its own in the place of AT_HWCAP.
std::uint64_t auxv_of_this_process(std::uint64_t type) {
  std::ifstream auxv("/proc/self/auxv", std::ios::binary);
  std::uint64_t entry[2];
  while (auxv.read(reinterpret_cast<char*>(entry), sizeof entry)) {
    if (entry[0] == type) return entry[1];
  }
  return 0;
}

mm::CommitPolicy policy_of_this_machine() {
  mm::CommitPolicy policy;
  int mode = 0;
  std::ifstream("/proc/sys/vm/overcommit_memory") >> mode;
  policy.mode = static_cast<mm::Overcommit>(mode);
  struct sysinfo machine{};
  ::sysinfo(&machine);
  policy.ram_pages = machine.totalram * machine.mem_unit / 4096;
  policy.swap_pages = machine.totalswap * machine.mem_unit / 4096;
  return policy;
}

ProgramStart refused_with(int error) {
  ProgramStart start;
  start.number = error;
  return start;
}

std::string name_of(const mm::Vma& vma, const mm::AddressSpace& space, const mm::elf::StartState& state) {
  if (!vma.anonymous()) {
    switch (vma.file) {
      case mm::elf::kVvarFile: return "[vvar]";
      case mm::elf::kVvarClockFile: return "[vvar_vclock]";
      case mm::elf::kVdsoFile: return "[vdso]";
      case 1: return "program";
      default: return "interpreter";
    }
  }
  if (vma.start < space.current_brk().value && vma.end > space.start_brk().value) return "[heap]";
  return vma.start <= state.stack_pointer && vma.end >= state.stack_pointer ? "[stack]" : "";
}

std::vector<MapsLine> read_maps(const mm::AddressSpace& space, const mm::elf::StartState& state) {
  std::vector<MapsLine> maps;
  space.vmas().for_each([&](const mm::Vma& vma) {
    MapsLine line;
    line.start = vma.start;
    line.end = vma.end;
    line.rights += (vma.flags & mm::kVmRead) != 0 ? 'r' : '-';
    line.rights += (vma.flags & mm::kVmWrite) != 0 ? 'w' : '-';
    line.rights += (vma.flags & mm::kVmExec) != 0 ? 'x' : '-';
    line.rights += (vma.flags & mm::kVmShared) != 0 ? 's' : 'p';
    line.name = name_of(vma, space, state);
    if (!vma.anonymous() && !line.name.starts_with('[')) line.offset = vma.pgoff * 4096;
    maps.push_back(line);
  });
  return maps;
}

void read_residency(mm::AddressSpace& space, ProgramStart& start) {
  for (const MapsLine& line : start.maps) {
    if (line.end - line.start > kResidencyLimit) continue;
    space.page_table().for_each(line.start, line.end, [&](std::uint64_t at, const mm::Pte&) {
      start.resident.push_back(at);
    });
  }
}

ProgramStart started(mm::AddressSpace& space, const mm::elf::StartState& state, std::uint64_t grow_break) {
  ProgramStart start;
  start.outcome = ProgramStart::Outcome::started;
  for (const mm::elf::AuxEntry& entry : state.auxv) start.auxv.emplace_back(entry.type, entry.value);
  start.instruction_pointer = state.entry;
  start.stack_pointer = state.stack_pointer;
  start.marks = {state.start_code, state.end_code,           state.stack_pointer, state.start_data, state.end_data,
                 space.start_brk().value, state.arg_start, state.arg_end,       state.env_start,  state.env_end};
  start.stack = state.stack;
  start.maps = read_maps(space, state);
  read_residency(space, start);
  start.faults = space.statistics().minor_faults();
  start.table_bytes = space.page_table().table_bytes().value;
  if (grow_break != 0) {
    start.grown_break = space.brk(VirtAddr(space.start_brk().value + grow_break)).value;
    start.grown = read_maps(space, state);
    space.check_invariants();
  }
  return start;
}

}  // namespace

ProgramStart start_in_twin(const StartRequest& request, const std::array<std::uint8_t, 16>& random) {
  mm::elf::StartArguments arguments;
  arguments.filename = request.path;
  arguments.argv = request.argv;
  arguments.envp = request.envp;
  arguments.random = random;
  arguments.hwcap = auxv_of_this_process(AT_HWCAP);
  arguments.hwcap2 = auxv_of_this_process(AT_HWCAP2);
  arguments.min_signal_stack_bytes = auxv_of_this_process(AT_MINSIGSTKSZ);
  arguments.uid = arguments.euid = ::getuid();
  arguments.gid = arguments.egid = ::getgid();

  const mm::KernelProfile profile = profile_of_this_machine();
  mm::ResourceLimits limits;
  limits.stack = request.stack_limit;
  limits.address_space = request.address_space_limit;
  limits.data = request.data_limit;
  mm::FrameTable frames;
  frames.commit().set_policy(policy_of_this_machine());
  mm::AddressSpace space(frames, profile, mm::elf::layout_at_start(profile, limits), limits);
  const bool root = ::geteuid() == 0;
  space.set_capabilities({.ipc_lock = root, .sys_admin = root, .sys_rawio = root});

  // execve's order: the file can be opened, the strings fit, its contents make sense.
  auto file = std::make_unique<FileBytes>(request.path);
  if (file->error != 0) return refused_with(file->error);
  mm::elf::InitialStack stack(space);
  if (const auto copied = stack.copy_strings(arguments); !copied) return refused_with(static_cast<int>(copied.error()));
  std::string name = request.path;
  for (int depth = 0;; ++depth) {
    if (depth > 5) return refused_with(ELOOP);
    const auto script = mm::elf::ScriptLine::parse(file->bytes());
    if (!script) break;
    if (const auto done = stack.rewrite_for(*script, name); !done) return refused_with(static_cast<int>(done.error()));
    name = script->interpreter;
    file = std::make_unique<FileBytes>(name);
    if (file->error != 0) return refused_with(file->error);
  }
  const auto program = ElfFile::parse(file->bytes(), Role::program);
  if (!program) return refused_with(static_cast<int>(program.error().error));
  std::unique_ptr<FileBytes> interpreter_file;
  Result<ElfFile, mm::elf::Refusal> interpreter = tl::make_unexpected(mm::elf::Refusal{mm::Errno::libbad, Error("")});
  if (program->interpreter()) {
    interpreter_file = std::make_unique<FileBytes>(*program->interpreter());
    if (interpreter_file->error != 0) return refused_with(interpreter_file->error);
    interpreter = ElfFile::parse(interpreter_file->bytes(), Role::interpreter);
    if (!interpreter) return refused_with(static_cast<int>(interpreter.error().error));
  }
  const mm::elf::ExecFile program_image{&*program, 1, file->aligns_huge};
  mm::elf::ExecFile interpreter_image;
  if (interpreter) {
    interpreter_image = {&*interpreter, interpreter_file->inode == file->inode ? 1u : 2u, interpreter_file->aligns_huge};
  }
  const auto loaded = mm::elf::load(space, stack, program_image, interpreter ? &interpreter_image : nullptr, arguments);
  space.check_invariants();
  if (loaded) return started(space, *loaded, request.grow_break);
  ProgramStart start = refused_with(static_cast<int>(loaded.error().error));
  if (loaded.error().kills) {
    start.outcome = ProgramStart::Outcome::killed;
    start.number = SIGSEGV;
  }
  return start;
}

}  // namespace faultline::diff
