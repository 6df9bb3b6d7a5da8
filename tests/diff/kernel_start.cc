#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "program_start.h"

namespace faultline::diff {

namespace {

constexpr std::uint64_t kPage = 4096;

std::string slurp(const std::string& path) {
  std::string text;
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
  char buffer[16384];
  for (ssize_t got; (got = ::read(file, buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<std::size_t>(got));
  ::close(file);
  return text;
}

// /proc/PID/stat from field 3 on: the name in field 2 may hold anything.
std::vector<std::string> stat_fields(pid_t pid) {
  const std::string text = slurp(fmt::format("/proc/{}/stat", pid));
  std::istringstream rest(text.substr(text.rfind(')') + 2));
  std::vector<std::string> fields(3);
  for (std::string field; rest >> field;) fields.push_back(field);
  return fields;
}

std::uint64_t faults_so_far(const std::vector<std::string>& stat) { return std::stoull(stat[10]) + std::stoull(stat[12]); }

std::vector<char*> pointers(const std::vector<std::string>& strings) {
  std::vector<char*> found;
  for (const std::string& text : strings) found.push_back(const_cast<char*>(text.c_str()));
  found.push_back(nullptr);
  return found;
}

[[noreturn]] void run_child(const StartRequest& request, char** argv, char** envp) {
  ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
  ::personality(ADDR_NO_RANDOMIZE | request.personality);
  if (request.ignore_set_id) ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  const auto limit = [](__rlimit_resource_t which, std::uint64_t bytes) {
    rlimit now{};
    ::getrlimit(which, &now);
    now.rlim_cur = std::min<rlim_t>(bytes, now.rlim_max);
    ::setrlimit(which, &now);
  };
  limit(RLIMIT_STACK, request.stack_limit);
  if (request.address_space_limit != ~std::uint64_t{0}) limit(RLIMIT_AS, request.address_space_limit);
  if (request.data_limit != ~std::uint64_t{0}) limit(RLIMIT_DATA, request.data_limit);
  ::raise(SIGSTOP);
  ::execve(request.path.c_str(), argv, envp);
  ::_exit(errno);
}

void note_end(int status, ProgramStart& start) {
  start.outcome = WIFSIGNALED(status) ? ProgramStart::Outcome::killed : ProgramStart::Outcome::refused;
  start.number = WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

// True when the child stands before its first instruction; else `start` says how it ended.
bool run_to_first_instruction(pid_t child, std::uint64_t& faults_before, ProgramStart& start) {
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFSTOPPED(status)) return note_end(status, start), false;
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
  bool counted = false;
  for (long signal = 0;;) {
    ::ptrace(counted ? PTRACE_CONT : PTRACE_SYSCALL, child, nullptr, signal);
    signal = 0;
    ::waitpid(child, &status, 0);
    if (!WIFSTOPPED(status)) return note_end(status, start), false;
    if (status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXEC << 8))) return true;
    if (WSTOPSIG(status) == (SIGTRAP | 0x80)) {
      user_regs_struct registers{};
      ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
      if (registers.orig_rax != SYS_execve) continue;
      faults_before = faults_so_far(stat_fields(child));
      counted = true;
    } else {
      signal = WSTOPSIG(status);
    }
  }
}

std::string inode_of(const std::string& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 ? std::to_string(found.st_ino) : "-";
}

std::vector<MapsLine> read_maps(pid_t child) {
  std::vector<MapsLine> maps;
  const std::string program = inode_of(fmt::format("/proc/{}/exe", child));
  std::istringstream text(slurp(fmt::format("/proc/{}/maps", child)));
  for (std::string line; std::getline(text, line);) {
    std::istringstream fields(line);
    MapsLine found;
    std::string range, device, inode;
    fields >> range >> found.rights >> std::hex >> found.offset >> device >> inode >> std::ws;
    std::getline(fields, found.name);
    found.start = std::stoull(range, nullptr, 16);
    found.end = std::stoull(range.substr(range.find('-') + 1), nullptr, 16);
    if (found.name == "[vsyscall]") continue;  // the gate page above all user memory: no part of the process
    if (inode != "0") found.name = inode == program ? "program" : "interpreter";
    maps.push_back(found);
  }
  return maps;
}

void read_residency(pid_t child, ProgramStart& start) {
  const int pagemap = ::open(fmt::format("/proc/{}/pagemap", child).c_str(), O_RDONLY | O_CLOEXEC);
  std::vector<std::uint64_t> entries(4096);
  for (const MapsLine& line : start.maps) {
    if (line.end - line.start > kResidencyLimit) continue;
    for (std::uint64_t at = line.start; at < line.end;) {
      const std::uint64_t pages = std::min<std::uint64_t>((line.end - at) / kPage, entries.size());
      const ssize_t got = ::pread(pagemap, entries.data(), pages * 8, static_cast<off_t>(at / kPage * 8));
      if (got <= 0) break;
      for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(got) / 8; ++i) {
        if ((entries[i] >> 63 & 1) != 0) start.resident.push_back(at + i * kPage);
      }
      at += static_cast<std::uint64_t>(got) / 8 * kPage;
    }
  }
  ::close(pagemap);
}

void read_stack(pid_t child, ProgramStart& start) {
  for (const MapsLine& line : start.maps) {
    if (start.stack_pointer < line.start || start.stack_pointer >= line.end) continue;
    start.stack.resize(line.end - start.stack_pointer);
    const int memory = ::open(fmt::format("/proc/{}/mem", child).c_str(), O_RDONLY | O_CLOEXEC);
    const ssize_t got = ::pread(memory, start.stack.data(), start.stack.size(), static_cast<off_t>(start.stack_pointer));
    ::close(memory);
    start.stack.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  }
}

void read_start(pid_t child, std::uint64_t faults_before, ProgramStart& start) {
  start.outcome = ProgramStart::Outcome::started;
  const std::vector<std::string> stat = stat_fields(child);
  start.faults = faults_so_far(stat) - faults_before;
  constexpr std::array<std::size_t, kMarks.size()> fields = {26, 27, 28, 45, 46, 47, 48, 49, 50, 51};
  for (std::size_t i = 0; i < fields.size(); ++i) start.marks[i] = std::stoull(stat[fields[i]]);
  const std::string status = slurp(fmt::format("/proc/{}/status", child));
  if (const std::size_t at = status.find("VmPTE:"); at != std::string::npos) {
    start.table_bytes = std::stoull(status.substr(at + 6)) * 1024;
  }
  start.maps = read_maps(child);
  read_residency(child, start);
  user_regs_struct registers{};
  ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
  start.instruction_pointer = registers.rip;
  start.stack_pointer = registers.rsp;
  const std::string auxv = slurp(fmt::format("/proc/{}/auxv", child));
  for (std::size_t at = 0; at + 16 <= auxv.size(); at += 16) {
    std::pair<std::uint64_t, std::uint64_t> entry;
    std::memcpy(&entry.first, auxv.data() + at, 8);
    std::memcpy(&entry.second, auxv.data() + at + 8, 8);
    start.auxv.push_back(entry);
    if (entry.first == AT_NULL) break;
  }
  read_stack(child, start);
}

// Puts a system call where the program would begin and lets it run that far.
void grow_break(pid_t child, std::uint64_t bytes, ProgramStart& start) {
  int status = 0;
  ::ptrace(PTRACE_SYSCALL, child, nullptr, nullptr);  // to the end of execve
  ::waitpid(child, &status, 0);
  constexpr long syscall_instruction = 0x050f;
  if (::ptrace(PTRACE_POKETEXT, child, start.instruction_pointer, syscall_instruction) != 0) return;
  user_regs_struct registers{};
  ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
  registers.rax = SYS_brk;
  registers.rdi = start.marks[5] + bytes;
  ::ptrace(PTRACE_SETREGS, child, nullptr, &registers);
  ::ptrace(PTRACE_SINGLESTEP, child, nullptr, nullptr);
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_GETREGS, child, nullptr, &registers);
  start.grown_break = registers.rax;
  start.grown = read_maps(child);
}

}  // namespace

ProgramStart start_on_kernel(const StartRequest& request) {
  std::vector<char*> argv = pointers(request.argv);
  std::vector<char*> envp = pointers(request.envp);
  ProgramStart start;
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("fork");
  if (child == 0) run_child(request, argv.data(), envp.data());
  std::uint64_t faults_before = 0;
  if (!run_to_first_instruction(child, faults_before, start)) return start;
  read_start(child, faults_before, start);
  if (request.grow_break != 0) grow_break(child, request.grow_break, start);
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return start;
}

std::string why_no_kernel() {
  utsname name{};
  ::uname(&name);
  int major = 0, minor = 0;
  std::sscanf(name.release, "%d.%d", &major, &minor);
  if (std::pair(major, minor) < std::pair(6, 18)) return fmt::format("the twin loads as Linux 6.18 does, this is {}", name.release);
  const pid_t child = ::fork();
  if (child == 0) ::_exit(::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) == 0 && ::personality(ADDR_NO_RANDOMIZE) >= 0 ? 0 : errno);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (status != 0) return fmt::format("ptrace or personality are not permitted: {}", std::strerror(WEXITSTATUS(status)));
  if (::access("/proc/self/pagemap", R_OK) != 0) return "no /proc/self/pagemap";
  return "";
}

std::array<std::uint8_t, 16> random_bytes(const ProgramStart& start) {
  std::array<std::uint8_t, 16> bytes{};
  for (const auto& [type, value] : start.auxv) {
    if (type == AT_RANDOM && value >= start.stack_pointer && value + 16 <= start.stack_pointer + start.stack.size()) {
      std::memcpy(bytes.data(), start.stack.data() + (value - start.stack_pointer), 16);
    }
  }
  return bytes;
}

std::string MapsLine::to_string() const {
  return fmt::format("{:x}-{:x} {} {:08x} {}", start, end, rights, offset, name);
}

namespace {

std::string in_words(const ProgramStart& start) {
  switch (start.outcome) {
    case ProgramStart::Outcome::started: return "starts";
    case ProgramStart::Outcome::refused: return fmt::format("refused, errno {}", start.number);
    case ProgramStart::Outcome::killed: return fmt::format("killed by signal {}", start.number);
  }
  return "";
}

std::string number(const char* what, std::uint64_t kernel, std::uint64_t twin) {
  return kernel == twin ? "" : fmt::format("{}: kernel {:#x}, twin {:#x}", what, kernel, twin);
}

std::string lines(const std::vector<MapsLine>& maps) {
  std::string text;
  for (const MapsLine& line : maps) text += "    " + line.to_string() + "\n";
  return text;
}

}  // namespace

std::string difference(const ProgramStart& kernel, const ProgramStart& twin) {
  if (kernel.outcome != twin.outcome || kernel.number != twin.number) {
    return fmt::format("kernel: {}; twin: {}", in_words(kernel), in_words(twin));
  }
  if (kernel.outcome != ProgramStart::Outcome::started) return "";
  if (kernel.maps != twin.maps) return "maps\n  kernel\n" + lines(kernel.maps) + "  twin\n" + lines(twin.maps);
  if (std::string text = number("instruction pointer", kernel.instruction_pointer, twin.instruction_pointer); !text.empty()) return text;
  if (std::string text = number("stack pointer", kernel.stack_pointer, twin.stack_pointer); !text.empty()) return text;
  for (std::size_t i = 0; i < kMarks.size(); ++i) {
    if (std::string text = number(kMarks[i].data(), kernel.marks[i], twin.marks[i]); !text.empty()) return text;
  }
  for (std::size_t i = 0; i < std::max(kernel.auxv.size(), twin.auxv.size()); ++i) {
    const auto a = i < kernel.auxv.size() ? kernel.auxv[i] : std::pair<std::uint64_t, std::uint64_t>{};
    const auto b = i < twin.auxv.size() ? twin.auxv[i] : std::pair<std::uint64_t, std::uint64_t>{};
    if (a != b) return fmt::format("auxv[{}]: kernel {}={:#x}, twin {}={:#x}", i, a.first, a.second, b.first, b.second);
  }
  if (kernel.stack != twin.stack) {
    if (kernel.stack.size() != twin.stack.size()) return number("bytes of stack", kernel.stack.size(), twin.stack.size());
    const auto at = std::mismatch(kernel.stack.begin(), kernel.stack.end(), twin.stack.begin());
    return fmt::format("stack at {:#x}: kernel {:02x}, twin {:02x}",
                       kernel.stack_pointer + static_cast<std::uint64_t>(at.first - kernel.stack.begin()), *at.first, *at.second);
  }
  if (kernel.resident != twin.resident) {
    std::string text = "resident pages: kernel";
    for (const std::uint64_t page : kernel.resident) text += fmt::format(" {:x}", page);
    text += "; twin";
    for (const std::uint64_t page : twin.resident) text += fmt::format(" {:x}", page);
    return text;
  }
  if (std::string text = number("faults", kernel.faults, twin.faults); !text.empty()) return text;
  if (std::string text = number("page-table bytes", kernel.table_bytes, twin.table_bytes); !text.empty()) return text;
  if (std::string text = number("grown break", kernel.grown_break, twin.grown_break); !text.empty()) return text;
  return kernel.grown == twin.grown ? "" : "maps after brk\n  kernel\n" + lines(kernel.grown) + "  twin\n" + lines(twin.grown);
}

}  // namespace faultline::diff
