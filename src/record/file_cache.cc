#include "record/file_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/units.h"
#include "record/perf_ring.h"

namespace faultline::record {
namespace {

constexpr std::uint64_t kLargestFile = std::uint64_t{1} << 30;
constexpr long kExt4 = 0xef53, kXfs = 0x58465342, kBtrfs = 0x9123683e, kTmpfs = 0x01021994;  // linux/magic.h
constexpr unsigned kDirtyFlag = 4, kMarkerFlag = 9, kTailFlag = 16;                           // linux/kernel-page-flags.h

std::uint64_t number_in(const std::string& path, std::uint64_t otherwise) {
  std::ifstream file(path);
  std::uint64_t number = otherwise;
  file >> number;
  return file ? number : otherwise;
}

void read_device(dev_t device, trace::CachedFile& file) {
  const std::string name = fmt::format("{}:{}", major(device), minor(device));
  file.window_pages = static_cast<std::uint32_t>(number_in("/sys/class/bdi/" + name + "/read_ahead_kb", 128) / 4);
  std::string queue = "/sys/dev/block/" + name + "/queue/max_sectors_kb";
  if (access(queue.c_str(), R_OK) != 0) queue = "/sys/dev/block/" + name + "/../queue/max_sectors_kb";  // a partition
  file.request_pages = static_cast<std::uint32_t>(number_in(queue, 128) / 4);
}

// mincore(2) says what is cached, /proc/self/pagemap which frames these are, /proc/kpageflags how frames hang together.
void read_folios(int fd, std::uint64_t pages, trace::CachedFile& file) {
  const std::uint64_t bytes = pages * kPageSize;
  void* const place = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  if (place == MAP_FAILED) return;
  madvise(place, bytes, MADV_RANDOM);
  std::vector<unsigned char> present(pages);
  if (mincore(place, bytes, present.data()) == 0) {
    const Fd pagemap(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
    const Fd flags_of(open("/proc/kpageflags", O_RDONLY | O_CLOEXEC));
    file.folios_known = static_cast<bool>(flags_of);
    for (std::uint64_t i = 0; i < pages; ++i) {
      if ((present[i] & 1) == 0) continue;
      const auto address = reinterpret_cast<std::uint64_t>(place) + i * kPageSize;
      std::uint64_t entry = 0, flags = 0;
      if (flags_of) {
        // In the cache a moment ago; should it have gone since, and the disk fail, the read is a SIGBUS no recorder survives:
        // the kernel is asked to map it instead of being touched.
        if (madvise(reinterpret_cast<void*>(address), kPageSize, 22 /* MADV_POPULATE_READ */) != 0) continue;
        if (pread(pagemap.get(), &entry, sizeof entry, static_cast<off_t>(address / kPageSize * sizeof entry)) != sizeof entry) entry = 0;
        const std::uint64_t pfn = entry & ((std::uint64_t{1} << 55) - 1);
        if (pfn == 0 || pread(flags_of.get(), &flags, sizeof flags, static_cast<off_t>(pfn * sizeof flags)) != sizeof flags) {
          file.folios_known = false;
          flags = 0;
        }
      }
      if ((flags >> kTailFlag & 1) != 0 && !file.folios.empty()) {
        trace::CachedFolio& folio = file.folios.back();
        while (folio.order < 9 && folio.first + (std::uint64_t{1} << folio.order) <= i) ++folio.order;
      } else {
        file.folios.push_back({i, 0, (flags >> kMarkerFlag & 1) != 0, (flags >> kDirtyFlag & 1) != 0});
      }
    }
  }
  munmap(place, bytes);
}

}  // namespace

std::optional<trace::CachedFile> look_at_file(const std::string& path, std::uint32_t device, std::uint64_t inode) {
  if (!path.starts_with('/')) return std::nullopt;
  struct stat info;
  if (lstat(path.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  const Fd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK));
  const Fd readable(fd ? -1 : open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));  // O_NOATIME is for the owner alone
  const int file_fd = fd ? fd.get() : readable.get();
  if (file_fd < 0 || fstat(file_fd, &info) != 0 || !S_ISREG(info.st_mode)) return std::nullopt;
  if (info.st_ino != inode || (static_cast<std::uint32_t>(major(info.st_dev)) << 20 | minor(info.st_dev)) != device) return std::nullopt;
  trace::CachedFile file;
  file.path = path;
  file.device = device;
  file.inode = inode;
  file.size_bytes = static_cast<std::uint64_t>(info.st_size);
  if (file.size_bytes > kLargestFile) return std::nullopt;
  struct statfs system;
  if (fstatfs(file_fd, &system) == 0) {
    const long type = static_cast<long>(system.f_type);
    file.memory_only = type == kTmpfs;
    file.max_order = type == kExt4 || type == kXfs || type == kBtrfs ? 9 : 0;
  }
  read_device(info.st_dev, file);
  if (const std::uint64_t pages = (file.size_bytes + kPageSize - 1) >> kPageShift; pages > 0) read_folios(file_fd, pages, file);
  return file;
}

std::vector<trace::CachedFile> look_at_files(std::span<const trace::MappingEvent> mappings) {
  std::set<std::pair<std::uint32_t, std::uint64_t>> seen;
  std::vector<trace::CachedFile> files;
  for (const trace::MappingEvent& mapping : mappings) {
    if (mapping.inode == 0 || !seen.insert({mapping.device, mapping.inode}).second) continue;
    if (auto file = look_at_file(mapping.path, mapping.device, mapping.inode)) files.push_back(std::move(*file));
  }
  return files;
}

}  // namespace faultline::record
