#include "record/exec_privileges.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>

#include "base/error.h"
#include "record/tracee_memory.h"

namespace faultline::record {
namespace {

constexpr int kInterpreters = 5;  // a script may be the interpreter of a script: fs/exec.c, exec_binprm

// As the kernel reads it (fs/binfmt_script.c): the first word after #!. Empty: no script.
std::string interpreter_of(const std::string& file) {
  char head[256] = {};
  std::ifstream(file, std::ios::binary).read(head, sizeof head);
  const std::string text(head, sizeof head);
  if (!text.starts_with("#!")) return {};
  const std::size_t first = text.find_first_not_of(" \t", 2);
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_first_of(std::string(" \t\n\0", 4), first) - first);
}

}  // namespace

bool may_trace_privileged() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct sets[2] = {};
  return syscall(SYS_capget, &header, sets) == 0 && (sets[CAP_SYS_PTRACE / 32].effective & CAP_TO_MASK(CAP_SYS_PTRACE)) != 0;
}

bool raises_privileges(pid_t tid, int directory, std::uint64_t path_address) {
  std::string path;
  if (!read_tracee_path(tid, path_address, path)) return errno == EPERM;  // else execve will fail, too
  const std::string process = fmt::format("/proc/{}/", tid);
  struct stat info;
  if (stat((process + "root").c_str(), &info) != 0) return true;
  std::string from = directory == AT_FDCWD ? process + "cwd" : fmt::format("{}fd/{}", process, directory);
  for (int depth = 0; depth <= kInterpreters; ++depth) {
    const std::string file = path.starts_with('/') ? process + "root" + path : path.empty() ? from : from + "/" + path;
    if (stat(file.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return false;  // not to be executed
    if ((info.st_mode & (S_ISUID | S_ISGID)) != 0 || getxattr(file.c_str(), "security.capability", nullptr, 0) > 0) return true;
    path = interpreter_of(file);
    if (path.empty()) return false;
    from = process + "cwd";
  }
  return false;
}

}  // namespace faultline::record
