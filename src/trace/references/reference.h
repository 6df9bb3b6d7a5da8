// ReferenceEvent: one entry of a reference stream — what a program touched page by page, and the calls that changed its address
// space in between. Streams come from importers (importers/) or from `faultline record --references exact`, and drive the twin
// (replay/limits) and the miss-ratio curves (analyze/curves). Pages are 4 KiB; page numbers are addresses >> 12.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/result.h"

namespace faultline::trace {

enum class ReferenceKind : std::uint8_t {
  // Touches of one page of a process.
  read,
  write,
  execute,
  // Calls: [page, page + pages) of the process, or of the file.
  map,         // mmap or brk growing: file, file_page, protection, shared; without a file anonymous
  unmap,       // munmap, brk shrinking
  discard,     // madvise(MADV_DONTNEED)
  protect,     // mprotect
  file_read,   // read(2) and its like: [page, page + pages) of the file through the page cache; file_page is the same as page
  file_write,  // write(2) and its like
  fork,        // `process` makes a child: its number is in `pages`
  exit,        // `process` ends; nothing of it follows. An execve is the unmap of all there was, then the new image's maps
  move,        // mremap: the pages go to `file_page` with what they hold; a part that grew follows as a map
};

inline constexpr std::uint32_t kNoFile = ~std::uint32_t{0};

struct ReferenceEvent {
  ReferenceKind kind = ReferenceKind::read;
  std::uint8_t protection = 3;  // PROT_READ 1, PROT_WRITE 2, PROT_EXEC 4
  bool shared = false;          // MAP_SHARED
  std::uint32_t process = 0;    // 0 is the first
  std::uint32_t file = kNoFile;
  std::uint64_t page = 0;
  std::uint64_t pages = 1;
  std::uint64_t file_page = 0;
  bool operator==(const ReferenceEvent&) const = default;
};

constexpr bool is_touch(ReferenceKind kind) { return kind <= ReferenceKind::execute; }

struct ReferenceFile {
  std::string path;
  std::uint64_t pages = 0;  // its size when first seen, rounded up
  bool operator==(const ReferenceFile&) const = default;
};

struct ReferenceProcess {
  std::int32_t pid = 0;  // 0: not known
  std::string command;   // what it ran last
  bool operator==(const ReferenceProcess&) const = default;
};

// A stream read from its beginning, a batch at a time: memory does not grow with its length.
class ReferenceSource {
 public:
  virtual ~ReferenceSource() = default;
  // The next events, at most what the buffer holds; 0 at the end. An error says where (line, offset or record) and what was wanted.
  virtual Result<std::size_t> next(std::span<ReferenceEvent> buffer) = 0;
  // Back to the beginning. An error where the source can be read once only (a pipe).
  virtual Result<void> rewind() = 0;
  // Files named by the events so far; an event's `file` is an index.
  virtual const std::vector<ReferenceFile>& files() const = 0;
  // Whether mappings are part of the stream. Without them every touched page is anonymous memory mapped from the start.
  virtual bool has_mappings() const = 0;

  // Processes of the events so far, by number; empty where the source names none.
  virtual const std::vector<ReferenceProcess>& processes() const {
    static const std::vector<ReferenceProcess> none;
    return none;
  }
  // Touches left out as repeats (repeat_filter.h) before the events so far: exact at the end, before it to a block of the file.
  virtual std::uint64_t dropped() const { return 0; }
  // Misses of LRU are exact for memories of at least so many pages.
  virtual std::uint32_t window() const { return 1; }
  // One line each: what the stream lacks (complete at its end).
  virtual std::vector<std::string> remarks() const { return {}; }
};

}  // namespace faultline::trace
