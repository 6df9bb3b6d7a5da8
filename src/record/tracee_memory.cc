#include "record/tracee_memory.h"

#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace faultline::record {
namespace {

// Word by word. The tracer may do this with any process that can be dumped, whoever its ancestors are.
bool peek(pid_t tid, std::uint64_t address, char* out, std::size_t size) {
  while (size > 0) {
    std::uint64_t word = 0;
    const std::size_t offset = address % sizeof word;
    if (syscall(SYS_ptrace, PTRACE_PEEKDATA, tid, address - offset, &word) != 0) {
      errno = EPERM;
      return false;
    }
    const std::size_t part = std::min(size, sizeof word - offset);
    std::memcpy(out, reinterpret_cast<const char*>(&word) + offset, part);
    address += part, out += part, size -= part;
  }
  return true;
}

}  // namespace

bool read_tracee(pid_t tid, std::uint64_t address, void* out, std::size_t size) {
  const iovec local{out, size};
  const iovec remote{reinterpret_cast<void*>(address), size};
  const ssize_t got = process_vm_readv(tid, &local, 1, &remote, 1, 0);
  if (got == static_cast<ssize_t>(size)) return true;
  if (got < 0 && errno == EPERM) return peek(tid, address, static_cast<char*>(out), size);  // Yama: only descendants
  errno = EFAULT;
  return false;
}

bool read_tracee_path(pid_t tid, std::uint64_t address, std::string& out) {
  constexpr std::size_t kPart = 256;  // never beyond a page's end: the next one may not be mapped
  char buffer[kPart];
  while (out.size() < PATH_MAX) {
    const std::size_t size = kPart - address % kPart;
    if (!read_tracee(tid, address, buffer, size)) return false;
    const std::size_t length = strnlen(buffer, size);
    out.append(buffer, length);
    if (length < size) return true;
    address += size;
  }
  errno = EFAULT;  // execve says ENAMETOOLONG
  return false;
}

pid_t process_of(pid_t tid) {
  std::ifstream status(fmt::format("/proc/{}/status", tid));
  int group = 0;
  for (std::string line; std::getline(status, line);) {
    if (std::sscanf(line.c_str(), "Tgid: %d", &group) == 1) return group;
  }
  return tid;
}

}  // namespace faultline::record
