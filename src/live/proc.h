// /proc as files are read from it: into buffers that are used again, and with the difference between "gone" and "not permitted".
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace faultline::live {

using Pid = std::int32_t;

enum class Access : std::uint8_t {
  ok,
  gone,    // the process ended (ENOENT, ESRCH), maybe between two reads
  denied,  // EACCES, EPERM: another user's, see ptrace(2) "access mode checking"
  failed,  // anything else
};

class Descriptor {  // an open file, closed at the end
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor();
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class Proc {
 public:
  // root: where proc(5) is mounted, or a folder that looks like it.
  static Result<Proc> open(const std::string& root = "/proc");

  Access open_file(const char* path, Descriptor& file) const;  // path: below the root, "123/smaps"
  Access open_file(Pid pid, const char* name, Descriptor& file) const;
  Access read(const char* path, std::string& text) const;  // the whole file; text keeps its capacity
  Access read(Pid pid, const char* name, std::string& text) const;
  std::string link(Pid pid, const char* name) const;  // a symbolic link's target, empty if it cannot be read
  void pids(std::vector<Pid>& found) const;            // of all processes that can be seen, rising
  std::vector<Pid> threads(Pid pid) const;             // rising; empty if it is gone

 private:
  explicit Proc(Descriptor root) : root_(std::move(root)) {}
  Descriptor root_;
};

// The whole of an open file of /proc from its beginning, in as few reads as it takes.
Access read_all(int fd, std::string& text);

}  // namespace faultline::live
