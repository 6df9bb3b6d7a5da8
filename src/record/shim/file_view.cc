#include "record/shim/file_view.h"

#include <fcntl.h>
#include <link.h>
#include <linux/mman.h>
#include <sys/stat.h>

#include <atomic>

#include "record/shim/modules.h"
#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/real_functions.h"
#include "record/shim/text.h"

namespace faultline::shim {

namespace {

constexpr std::uint64_t kPageMask = 4095;
constexpr unsigned kMaxViews = 1024;

// Written once, by the thread that claimed it. After dlclose(3) another object may lie at data_start: then the build id is another.
struct View {
  std::atomic<std::uint64_t> data_start;  // 0: free
  std::atomic<bool> ready;
  std::uint64_t aside;
  std::uint8_t build_id[20];
};
View views[kMaxViews];
std::atomic<std::uint64_t> next_place{kFileViews};

bool same_bytes(std::uint64_t a, const void* b, std::size_t bytes) { return __builtin_memcmp(reinterpret_cast<const void*>(a), b, bytes) == 0; }

// Maps a part of the file between our other views. 0 on failure.
std::uint64_t map_view(long fd, std::uint64_t offset, std::uint64_t bytes) {
  const std::uint64_t length = (bytes + kPageMask) & ~kPageMask;
  const std::uint64_t hint = next_place.fetch_add(length, std::memory_order_relaxed);
  const long at = raw_syscall(SYS_mmap, static_cast<long>(hint), static_cast<long>(length), 1 /* PROT_READ */, MAP_PRIVATE, fd, static_cast<long>(offset));
  if (failed(at)) return 0;
  const auto start = static_cast<std::uint64_t>(at);
  if (start >= kFileViews && start + length <= kFileViews + kFileViewBytes) return start;
  raw_syscall(SYS_munmap, at, static_cast<long>(length));
  return 0;
}

// The file the object was loaded from, if its path still leads there: regular, and with the same bytes up to the end of the build id.
long open_file_of(const CodeObject& object, const BuildId& id) {
  const char* path = object.name != nullptr && *object.name != 0 ? object.name : "/proc/self/exe";
  if (!contains(path, "/")) return -1;  // linux-vdso.so.1
  constexpr long kAtFdcwd = -100;
  struct stat status;
  if (failed(raw_syscall(SYS_newfstatat, kAtFdcwd, address_of(path), address_of(&status), 0)) || !S_ISREG(status.st_mode)) return -1;
  const long fd = raw_syscall(SYS_openat, kAtFdcwd, address_of(path), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (failed(fd)) return -1;
  const std::uint64_t head = id.start + id.bytes - object.start;
  const std::uint64_t first = status.st_size >= 4096 ? map_view(fd, 0, 4096) : 0;
  const bool same = first != 0 && same_bytes(first, reinterpret_cast<const void*>(object.start), head);
  if (first != 0) raw_syscall(SYS_munmap, static_cast<long>(first), 4096);
  // Reading beyond the end of a file is SIGBUS.
  if (same && static_cast<std::uint64_t>(status.st_size) >= object.data_offset + (object.data_end - object.data_start)) return fd;
  raw_close(fd);
  return -1;
}

std::uint64_t make_view(const CodeObject& object, const BuildId& id) {
  const long fd = open_file_of(object, id);
  if (fd < 0) return 0;
  const std::uint64_t within = object.data_offset & kPageMask;
  const std::uint64_t at = map_view(fd, object.data_offset - within, object.data_end - object.data_start + within);
  raw_close(fd);
  return at == 0 ? 0 : at + within - object.data_start;
}

std::uint64_t view_of(const CodeObject& object, bool may_make) {
  const std::uint64_t home = (object.data_start >> 12) * 0x9e3779b97f4a7c15u >> 54;
  for (unsigned i = 0; i < kMaxViews; ++i) {
    View& view = views[(home + i) % kMaxViews];
    std::uint64_t found = view.data_start.load(std::memory_order_acquire);
    if (found == 0 && !may_make) return 0;
    if (found == 0) {
      const BuildId id = find_build_id(object);
      if (id.bytes != sizeof view.build_id || id.start + id.bytes > object.start + 4096) return 0;
      if (view.data_start.compare_exchange_strong(found, object.data_start)) {
        __builtin_memcpy(view.build_id, reinterpret_cast<const void*>(id.start), sizeof view.build_id);
        view.aside = make_view(object, id);
        view.ready.store(true, std::memory_order_release);
        return view.aside;
      }
    }
    if (found != object.data_start) continue;
    if (!view.ready.load(std::memory_order_acquire)) return 0;  // another thread, or we in a signal handler, are just making it
    if (view.aside == 0) return 0;
    const BuildId id = find_build_id(object);
    return id.bytes == sizeof view.build_id && same_bytes(id.start, view.build_id, id.bytes) ? view.aside : 0;
  }
  return 0;
}

}  // namespace

std::uint64_t file_view(const CodeObject& object) { return view_of(object, process.options.touches); }

void make_file_views() {
  for (const link_map* map = first_link_map(); map != nullptr; map = map->l_next) {
    CodeObject object;
    if (find_code_object(reinterpret_cast<std::uint64_t>(map->l_ld), object) && object.hdr != 0) view_of(object, true);
  }
}

}  // namespace faultline::shim
