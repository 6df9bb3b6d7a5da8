#include "record/tracee_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/xattr.h>

#include <algorithm>
#include <climits>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "base/error.h"

namespace faultline::record {
namespace {

// Up to its end; a string may stop just before an unmapped page, so page by page.
bool read_text(pid_t tid, std::uint64_t address, std::string& out) {
  constexpr std::size_t kPage = 4096;
  char buffer[kPage];
  while (out.size() < PATH_MAX) {
    const std::size_t size = kPage - address % kPage;
    if (!read_tracee(tid, address, buffer, size)) return false;
    const std::size_t length = strnlen(buffer, size);
    out.append(buffer, length);
    if (length < size) return true;
    address += size;
  }
  return false;
}

}  // namespace

bool read_tracee(pid_t tid, std::uint64_t address, void* out, std::size_t size) {
  const iovec local{out, size};
  const iovec remote{reinterpret_cast<void*>(address), size};
  return process_vm_readv(tid, &local, 1, &remote, 1, 0) == static_cast<ssize_t>(size);
}

pid_t process_of(pid_t tid) {
  std::ifstream status(fmt::format("/proc/{}/status", tid));
  int group = 0;
  for (std::string line; std::getline(status, line);) {
    if (std::sscanf(line.c_str(), "Tgid: %d", &group) == 1) return group;
  }
  return tid;
}

bool raises_privileges(pid_t tid, int directory, std::uint64_t path_address) {
  std::string path;
  if (!read_text(tid, path_address, path)) return false;  // execve will fail, too
  std::string seen;
  if (path.starts_with('/')) {
    seen = fmt::format("/proc/{}/root{}", tid, path);
  } else if (directory == AT_FDCWD) {
    seen = fmt::format("/proc/{}/cwd/{}", tid, path);
  } else {
    seen = fmt::format("/proc/{}/fd/{}{}{}", tid, directory, path.empty() ? "" : "/", path);
  }
  struct stat info;
  if (stat(seen.c_str(), &info) != 0) return false;
  return (info.st_mode & (S_ISUID | S_ISGID)) != 0 || getxattr(seen.c_str(), "security.capability", nullptr, 0) > 0;
}

}  // namespace faultline::record
