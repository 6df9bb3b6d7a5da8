#include "test_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <stdexcept>

#include "process.h"

namespace faultline::spec {

namespace {

constexpr long kExt4 = 0xEF53, kTmpfs = 0x01021994;
constexpr std::uint64_t kDirtyFlag = 4, kMarkerFlag = 9, kTailFlag = 16;  // include/uapi/linux/kernel-page-flags.h

std::string folder(FileKind kind) {
  if (kind == FileKind::tmpfs) return "/dev/shm";
  const char* wanted = ::getenv("TMPDIR");
  return wanted != nullptr && *wanted != 0 ? wanted : "/tmp";
}

std::uint64_t number_in(const std::string& path, std::uint64_t otherwise) {
  std::ifstream file(path);
  std::uint64_t number = otherwise;
  file >> number;
  return number;
}

}  // namespace

std::string TestFile::missing(FileKind kind, bool large_folios) {
  struct statfs where;
  const std::string place = folder(kind);
  if (::statfs(place.c_str(), &where) != 0) return place + " is not there";
  if (static_cast<long>(where.f_type) != (kind == FileKind::disk ? kExt4 : kTmpfs)) {
    return place + (kind == FileKind::disk ? " is not on ext4" : " is not a tmpfs");
  }
  if (large_folios && ::access("/proc/kpageflags", R_OK) != 0) return "/proc/kpageflags needs root";
  return {};
}

TestFile::TestFile(FileKind kind, std::uint64_t bytes, std::uint64_t chunk) : kind_(kind), chunk_(chunk) {
  path_ = folder(kind) + "/faultline_spec_" + std::string(6, 'X');
  fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
  if (fd_ < 0) throw std::runtime_error(path_ + ": cannot be made");
  const std::vector<char> content(chunk, 'f');
  for (std::uint64_t at = 0; at < bytes; at += chunk) {
    const std::size_t length = std::min(chunk, bytes - at);
    if (::pwrite(fd_, content.data(), length, static_cast<off_t>(at)) != static_cast<ssize_t>(length)) {
      throw std::runtime_error(path_ + ": cannot be written");
    }
  }
}

TestFile::~TestFile() {
  ::close(fd_);
  ::unlink(path_.c_str());
}

void TestFile::drop() {
  ::fsync(fd_);
  ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED);
  if (!cached().empty()) throw std::runtime_error(path_ + ": stays in the page cache");
}

void TestFile::settle() {
  struct stat status;
  ::fstat(fd_, &status);
  const std::string inflight = "/sys/dev/block/" + std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev)) + "/inflight";
  for (int quiet = 0; quiet < 3;) {
    std::ifstream file(inflight);
    std::uint64_t reads = 0;
    file >> reads;
    quiet = reads == 0 ? quiet + 1 : 0;
    const timespec nap{0, 20000};
    ::nanosleep(&nap, nullptr);
  }
}

mm::FileSettings TestFile::settings() const {
  struct stat status;
  ::fstat(fd_, &status);
  const bool shmem = kind_ == FileKind::tmpfs;
  return {.type = shmem ? mm::FileType::shmem : mm::FileType::disk,
          .size = static_cast<std::uint64_t>(status.st_size),
          .max_order = static_cast<std::uint8_t>(shmem ? 0 : 9)};
}

mm::ReadAheadLimits TestFile::read_ahead() const {
  struct stat status;
  ::fstat(fd_, &status);
  const std::string device = std::to_string(major(status.st_dev)) + ":" + std::to_string(minor(status.st_dev));
  const std::uint64_t window = number_in("/sys/class/bdi/" + device + "/read_ahead_kb", 128);
  std::string queue = "/sys/dev/block/" + device + "/queue/max_sectors_kb";
  if (::access(queue.c_str(), R_OK) != 0) queue = "/sys/dev/block/" + device + "/../queue/max_sectors_kb";
  return {static_cast<std::uint32_t>(window / 4), static_cast<std::uint32_t>(number_in(queue, 128) / 4)};
}

// mincore(2) says what is cached, /proc/self/pagemap which frames that are, /proc/kpageflags how they hang together.
std::vector<mm::Folio> TestFile::cached() const {
  const std::uint64_t pages = settings().size / kPage + (settings().size % kPage != 0 ? 1 : 0);
  std::vector<mm::Folio> found;
  if (pages == 0) return found;
  void* place = ::mmap(nullptr, pages * kPage, PROT_READ, MAP_SHARED, fd_, 0);
  if (place == MAP_FAILED) throw std::runtime_error(path_ + ": cannot be mapped");
  ::madvise(place, pages * kPage, MADV_RANDOM);  // looking must not read anything ahead
  std::vector<unsigned char> present(pages);
  ::mincore(place, pages * kPage, present.data());
  const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  const int flags_of = ::open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
  for (std::uint64_t i = 0; i < pages; ++i) {
    if ((present[i] & 1) == 0) continue;
    const auto address = reinterpret_cast<std::uint64_t>(place) + i * kPage;
    (void)*reinterpret_cast<volatile char*>(address);
    std::uint64_t entry = 0;
    std::uint64_t flags = 0;
    if (::pread(pagemap, &entry, 8, static_cast<off_t>(address / kPage * 8)) != 8) throw std::runtime_error("pagemap: short read");
    const std::uint64_t pfn = entry & ((std::uint64_t{1} << 55) - 1);
    if (flags_of >= 0 && ::pread(flags_of, &flags, 8, static_cast<off_t>(pfn * 8)) != 8) flags = 0;
    if (flags_of < 0) flags = std::uint64_t{1} << kDirtyFlag;  // just written, page by page
    if ((flags >> kTailFlag & 1) != 0 && !found.empty()) {
      while (found.back().end() <= i) ++found.back().order;
    } else {
      found.push_back({i, 0, (flags >> kMarkerFlag & 1) != 0, (flags >> kDirtyFlag & 1) != 0});
    }
  }
  ::close(pagemap);
  if (flags_of >= 0) ::close(flags_of);
  ::munmap(place, pages * kPage);
  return found;
}

}  // namespace faultline::spec
