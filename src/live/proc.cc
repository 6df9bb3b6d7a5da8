#include "live/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace faultline::live {
namespace {

Access access_of(int error) {
  if (error == ENOENT || error == ESRCH) return Access::gone;
  if (error == EACCES || error == EPERM) return Access::denied;
  return Access::failed;
}

constexpr std::size_t kPath = 64;

// Names of a folder that are numbers.
void numbers_in(int folder, const char* path, std::vector<Pid>& found) {
  found.clear();
  const int fd = openat(folder, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  DIR* const directory = fdopendir(fd);
  if (directory == nullptr) {
    close(fd);
    return;
  }
  while (const dirent* entry = readdir(directory)) {
    Pid pid = 0;
    const char* digit = entry->d_name;
    for (; *digit >= '0' && *digit <= '9' && pid < 100'000'000; ++digit) pid = pid * 10 + (*digit - '0');
    if (*digit == '\0' && pid > 0) found.push_back(pid);
  }
  closedir(directory);
  if (!std::is_sorted(found.begin(), found.end())) std::sort(found.begin(), found.end());
}

}  // namespace

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

Result<Proc> Proc::open(const std::string& root) {
  Descriptor folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder.open()) return fail(make_error("{}: wanted the proc file system, found none: {}", root, std::strerror(errno)));
  return Proc(std::move(folder));
}

Access Proc::open_file(const char* path, Descriptor& file) const {
  file = Descriptor(openat(root_.get(), path, O_RDONLY | O_CLOEXEC));
  return file.open() ? Access::ok : access_of(errno);
}

Access Proc::open_file(Pid pid, const char* name, Descriptor& file) const {
  char path[kPath];
  *fmt::format_to_n(path, kPath - 1, "{}/{}", pid, name).out = '\0';
  return open_file(path, file);
}

Access Proc::read(const char* path, std::string& text) const {
  text.clear();
  Descriptor file;
  if (const Access access = open_file(path, file); access != Access::ok) return access;
  return read_all(file.get(), text);
}

Access Proc::read(Pid pid, const char* name, std::string& text) const {
  char path[kPath];
  *fmt::format_to_n(path, kPath - 1, "{}/{}", pid, name).out = '\0';
  return read(path, text);
}

std::string Proc::link(Pid pid, const char* name) const {
  std::string target(4096, '\0');
  const ssize_t length = readlinkat(root_.get(), fmt::format("{}/{}", pid, name).c_str(), target.data(), target.size());
  target.resize(length > 0 ? static_cast<std::size_t>(length) : 0);
  return target;
}

void Proc::pids(std::vector<Pid>& found) const { numbers_in(root_.get(), ".", found); }

std::vector<Pid> Proc::threads(Pid pid) const {
  std::vector<Pid> found;
  numbers_in(root_.get(), fmt::format("{}/task", pid).c_str(), found);
  return found;
}

Access read_all(int fd, std::string& text) {
  constexpr std::size_t kAtLeast = 4096;
  std::size_t used = 0;
  text.resize(std::max(text.capacity(), kAtLeast));
  for (;;) {
    if (text.size() - used < kAtLeast) text.resize(text.size() * 2);
    const ssize_t got = pread(fd, text.data() + used, text.size() - used, static_cast<off_t>(used));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      text.clear();
      return access_of(errno);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  text.resize(used);
  return Access::ok;
}

}  // namespace faultline::live
