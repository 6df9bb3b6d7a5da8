#include "lab/program_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace faultline::lab {

Result<FileBytes> FileBytes::open(const std::string& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (file < 0) return fail(make_error("{}: wanted a program to read, found: {}", path, std::strerror(errno)));
  FileBytes made;
  struct stat found{};
  struct statfs system{};
  const bool known = ::fstat(file, &found) == 0 && ::fstatfs(file, &system) == 0;
  const bool regular = known && S_ISREG(found.st_mode);
  if (regular && found.st_size > 0) {
    made.size_ = static_cast<std::size_t>(found.st_size);
    made.bytes_ = ::mmap(nullptr, made.size_, PROT_READ, MAP_PRIVATE, file, 0);
  }
  const int error = errno;
  ::close(file);
  if (!regular) return fail(make_error("{}: wanted a regular file, found {}", path, known && S_ISDIR(found.st_mode) ? "a directory" : "something else"));
  if (made.bytes_ == MAP_FAILED) {
    made.bytes_ = nullptr;
    return fail(make_error("{}: wanted {} bytes to read, found: {}", path, found.st_size, std::strerror(error)));
  }
  constexpr long ext4 = 0xef53, xfs = 0x58465342, btrfs = 0x9123683e;  // f_op->get_unmapped_area is thp_get_unmapped_area
  made.aligns_huge_ = system.f_type == ext4 || system.f_type == xfs || system.f_type == btrfs;
  made.inode_ = found.st_ino;
  return made;
}

FileBytes::FileBytes(FileBytes&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)), inode_(other.inode_),
      aligns_huge_(other.aligns_huge_) {}

FileBytes::~FileBytes() {
  if (bytes_ != nullptr) ::munmap(bytes_, size_);
}

}  // namespace faultline::lab
