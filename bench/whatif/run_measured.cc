// run_measured [--report DESCRIPTOR] [--calls] [--no-aslr] COMMAND ARGUMENT...: runs a command without any recorder and
// writes, as one line of JSON, what the kernel says of it: faults, resident memory at its end and at its highest.
//
// VmHWM is no measure of a program of a few MiB: the kernel keeps it from counters that lag by a batch per processor.
// Resident memory falls only in memory calls and at the end, so with --calls the exact figure is read (statm, which sums the
// per-processor parts) before each memory call and at exit, and the highest of these is the peak. A seccomp filter stops the
// process at these calls only (SECCOMP_RET_TRACE); the end is PTRACE_EVENT_EXIT, where all memory is still there. Neither
// touches the memory of the process. Without --calls there is only the stop at the end.
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr std::array<int, 6> kCalls = {SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_madvise, SYS_mprotect};
constexpr std::array<const char*, 6> kNames = {"brk", "mmap", "munmap", "mremap", "madvise", "mprotect"};

[[noreturn]] void die(const char* what) {
  std::fprintf(stderr, "run_measured: %s: %s\n", what, std::strerror(errno));
  std::exit(125);
}

void trace_memory_calls() {
  std::array<sock_filter, 12> code{};
  std::size_t at = 0;
  code[at++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  code[at++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 0, static_cast<unsigned char>(kCalls.size() + 1));
  code[at++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (std::size_t i = 0; i < kCalls.size(); ++i)
    code[at++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(kCalls[i]), static_cast<unsigned char>(kCalls.size() - i), 0);
  code[at++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  code[at++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
  sock_fprog program{static_cast<unsigned short>(at), code.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(126);
}

std::uint64_t resident_pages(int statm) {
  std::array<char, 128> text{};
  if (pread(statm, text.data(), text.size() - 1, 0) <= 0) return 0;
  std::uint64_t size = 0, resident = 0;
  return std::sscanf(text.data(), "%lu %lu", &size, &resident) == 2 ? resident : 0;
}

std::uint64_t rollup_rss_bytes(pid_t pid) {
  std::FILE* file = std::fopen(("/proc/" + std::to_string(pid) + "/smaps_rollup").c_str(), "r");
  if (file == nullptr) return 0;
  std::array<char, 256> line{};
  unsigned long kib = 0;
  while (std::fgets(line.data(), line.size(), file) != nullptr)
    if (std::sscanf(line.data(), "Rss: %lu kB", &kib) == 1) break;
  std::fclose(file);
  return kib << 10;
}

// vfork: until execve the child shares this memory, so that next to none of its faults are from before it.
pid_t start(char** command, const bool calls, const bool fixed_layout) {
  const pid_t pid = vfork();
  if (pid < 0) die("vfork");
  if (pid != 0) return pid;
  if (fixed_layout) personality(ADDR_NO_RANDOMIZE);
  if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) _exit(126);
  if (calls) trace_memory_calls();
  execvp(command[0], command);
  _exit(127);
}

}  // namespace

int main(int argc, char** argv) {
  bool calls = false, fixed_layout = false;
  int first = 1, report = STDERR_FILENO;
  for (; first < argc && argv[first][0] == '-'; ++first) {
    if (std::strcmp(argv[first], "--calls") == 0) {
      calls = true;
    } else if (std::strcmp(argv[first], "--no-aslr") == 0) {
      fixed_layout = true;
    } else if (std::strcmp(argv[first], "--report") == 0 && first + 1 < argc) {
      report = std::atoi(argv[++first]);
    } else {
      break;
    }
  }
  if (first >= argc) {
    std::fprintf(stderr, "usage: run_measured [--report DESCRIPTOR] [--calls] [--no-aslr] COMMAND ARGUMENT...\n");
    return 125;
  }
  if (report > STDERR_FILENO) fcntl(report, F_SETFD, FD_CLOEXEC);
  const pid_t pid = start(argv + first, calls, fixed_layout);
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) {
    errno = WIFEXITED(status) && WEXITSTATUS(status) == 127 ? ENOENT : EPERM;
    die(argv[first]);
  }
  const long options = PTRACE_O_EXITKILL | PTRACE_O_TRACEEXIT | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
  if (ptrace(PTRACE_SETOPTIONS, pid, nullptr, options) != 0) die("PTRACE_SETOPTIONS");
  const int statm = open(("/proc/" + std::to_string(pid) + "/statm").c_str(), O_RDONLY | O_CLOEXEC);

  std::array<std::uint64_t, kCalls.size()> counts{};
  std::uint64_t peak_pages = 0, end_pages = 0, end_rollup_bytes = 0;
  rusage usage{};
  pid_t who = pid;
  int signal = 0;
  for (bool alive = true; alive;) {
    ptrace(PTRACE_CONT, who, nullptr, signal);
    signal = 0;
    who = wait4(-1, &status, __WALL, &usage);
    if (who < 0) die("wait4");
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      alive = who != pid;
      continue;
    }
    const int event = status >> 16;
    if (event == PTRACE_EVENT_SECCOMP) {
      user_regs_struct registers{};
      ptrace(PTRACE_GETREGS, who, nullptr, &registers);
      const auto number = std::find(kCalls.begin(), kCalls.end(), static_cast<int>(registers.orig_rax));
      if (number != kCalls.end()) ++counts[static_cast<std::size_t>(number - kCalls.begin())];
      peak_pages = std::max(peak_pages, resident_pages(statm));
    } else if (event == PTRACE_EVENT_EXIT && who == pid) {
      end_pages = resident_pages(statm);
      end_rollup_bytes = rollup_rss_bytes(pid);
      peak_pages = std::max(peak_pages, end_pages);
    } else if (event == 0 && WSTOPSIG(status) != SIGSTOP && WSTOPSIG(status) != SIGTRAP) {
      signal = WSTOPSIG(status);
    }
  }
  dprintf(report, "{\"status\": %d, \"minor_faults\": %ld, \"major_faults\": %ld, \"maxrss_bytes\": %ld, \"rss_end_bytes\": %lu, \"rollup_end_bytes\": %lu",
          WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), usage.ru_minflt, usage.ru_majflt, usage.ru_maxrss * 1024, end_pages << 12, end_rollup_bytes);
  if (calls) {
    dprintf(report, ", \"rss_peak_bytes\": %lu, \"calls\": {", peak_pages << 12);
    for (std::size_t i = 0; i < kCalls.size(); ++i) dprintf(report, "%s\"%s\": %lu", i == 0 ? "" : ", ", kNames[i], counts[i]);
    dprintf(report, "}");
  }
  dprintf(report, "}\n");
  return 0;
}
