// ReadAhead: what is read from a file beyond what was asked for, and in folios of which size. Counterpart: struct
// file_ra_state and mm/readahead.c, do_sync_mmap_readahead() and do_async_mmap_readahead() (mm/filemap.c), Linux 6.18.
//
// The device is infinitely fast: what is read is there at once. Linux finds folios locked while they are being read, and
// then maps fewer neighbours of a faulting page; see docs/FIDELITY.md.
#pragma once

#include <cstdint>

#include "mm/backing/file_object.h"

namespace faultline::mm {

struct ReadAheadLimits {
  std::uint32_t window_pages = 32;   // ra_pages: read_ahead_kb of the device; 0: no read-ahead
  std::uint32_t request_pages = 32;  // io_pages: the device's largest request; only large wishes go up to it
};

// What the mapping that faults was told by madvise(2), and where it may execute.
struct ReadPattern {
  bool random = false;
  bool sequential = false;
  bool huge = false;            // MADV_HUGEPAGE
  bool executable = false;
  std::uint64_t first = 0;      // pages of the file the mapping covers
  std::uint64_t end = 0;
};

class ReadAhead {
 public:
  explicit ReadAhead(const ReadAheadLimits& limits) : limits_(limits) {}

  // A fault found the page missing. True when it read something (and the caller had to let go of its locks for that).
  bool miss(FileObject& file, std::uint64_t index, const ReadPattern& pattern);
  // A fault found the page, perhaps with a marker on it. True as above.
  bool hit(FileObject& file, std::uint64_t index, const ReadPattern& pattern);
  // read(2) wants pages [index, index + pages), or what is left of them. Reads what is due: perhaps nothing.
  void read(FileObject& file, std::uint64_t index, std::uint64_t pages);
  // The whole read(2) is done; it ended before that page. What is due for its later pages was decided by where the one before it ended.
  void read_done(std::uint64_t end) { previous_ = end; }
  // posix_fadvise(WILLNEED), madvise(MADV_WILLNEED), readahead(2).
  void will_need(FileObject& file, std::uint64_t index, std::uint64_t pages);
  // Pages that faults mapped without asking for them count as hits.
  void mapped_around(std::uint64_t pages) { mmap_miss_ -= pages < mmap_miss_ ? static_cast<std::uint32_t>(pages) : mmap_miss_; }

  const ReadAheadLimits& limits() const { return limits_; }

 private:
  std::uint64_t max_pages(std::uint64_t request) const;
  std::uint64_t next_size(std::uint64_t max) const;
  void sync(FileObject& file, std::uint64_t index, std::uint64_t request);
  void async(FileObject& file, std::uint64_t index, std::uint64_t request);
  void read_ordered(FileObject& file, std::uint64_t index);
  static void read_pages(FileObject& file, std::uint64_t index, std::uint64_t pages, std::uint64_t lookahead);

  ReadAheadLimits limits_;
  std::uint64_t start_ = 0;       // the current window: first page
  std::uint64_t size_ = 0;        // pages
  std::uint64_t async_size_ = 0;  // reaching the last async_size pages starts the next one
  std::uint8_t order_ = 0;        // folio order wished for
  std::uint64_t previous_ = ~std::uint64_t{0};  // page the last read(2) ended before (prev_pos); none yet: before the file
  std::uint32_t mmap_miss_ = 0;   // faults that missed, less those that hit
};

}  // namespace faultline::mm
