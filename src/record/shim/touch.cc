#include "record/shim/touch.h"

#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"

namespace faultline::shim {

namespace {

constexpr std::uint64_t kPage = 4096;

bool write_runs(ThreadRing& ring, wire::RecordKind kind, std::uint64_t start, unsigned count) {
  std::uint8_t* out = reserve(ring, 32 + std::size_t{count} * 5);
  if (out == nullptr) return false;
  *out++ = static_cast<std::uint8_t>(kind);
  out = wire::put_varint(out, start);
  out = wire::put_varint(out, count);
  for (unsigned i = 0; i < count; ++i) out = wire::put_varint(out, ring.runs[i]);
  commit(ring, out);
  return true;
}

// The first 64 blocks of a size class, then every 16th, later every 256th: a hot free pays nothing.
bool sampled(ThreadRing& ring, std::uint64_t size) {
  const unsigned size_class = 63 - static_cast<unsigned>(__builtin_clzll(size));
  const std::uint32_t n = ring.frees_of_class[size_class & 31]++;
  if (n < 64) return true;
  return n < 4096 ? n % 16 == 0 : n % 256 == 0;
}

// Runs of pages, alternately resident and not, into records of one kind. Every record begins with a resident run.
class RunWriter {
 public:
  RunWriter(ThreadRing& ring, wire::RecordKind kind, std::uint64_t start) : ring_(ring), kind_(kind), record_start_(start), at_(start) {}

  bool add(std::uint64_t pages, bool resident) {
    if (pages == 0) return true;
    if (resident != resident_) {
      ring_.runs[runs_++] = length_;
      resident_ = resident;
      length_ = 0;
      if (runs_ + 1 >= kMaxRuns && resident) {
        if (!write_runs(ring_, kind_, record_start_, runs_)) return false;
        record_start_ = at_;
        runs_ = 0;
      }
    }
    length_ += static_cast<std::uint32_t>(pages);
    at_ += pages * kPage;
    return true;
  }
  bool finish() {
    ring_.runs[runs_++] = length_;
    return write_runs(ring_, kind_, record_start_, runs_);
  }

 private:
  ThreadRing& ring_;
  wire::RecordKind kind_;
  std::uint64_t record_start_, at_;
  unsigned runs_ = 0;
  bool resident_ = true;
  std::uint32_t length_ = 0;
};

bool ask_mincore(ThreadRing& ring, RunWriter& runs, std::uint64_t start, std::uint64_t end) {
  for (std::uint64_t at = start; at < end;) {
    std::uint64_t pages = (end - at) / kPage;
    if (pages > sizeof ring.residency) pages = sizeof ring.residency;
    if (failed(raw_mincore(at, pages * kPage, ring.residency))) return false;
    for (std::uint64_t i = 0; i < pages;) {
      const bool resident = (ring.residency[i] & 1) != 0;
      const std::uint64_t first = i;
      while (i < pages && ((ring.residency[i] & 1) != 0) == resident) ++i;
      if (!runs.add(i - first, resident)) return false;
    }
    at += pages * kPage;
  }
  return true;
}

// PAGEMAP_SCAN, include/uapi/linux/fs.h, since 6.7: goes over what has no page tables at once, where mincore looks at each page.
struct PageRegion {
  std::uint64_t start, end, categories;
};
struct ScanArguments {
  std::uint64_t size, flags, start, end, walk_end, vector, vector_length, max_pages;
  std::uint64_t category_inverted, category_mask, category_any, return_mask;
};
constexpr long kPagemapScan = 0xc0606610;
constexpr std::uint64_t kPageIsPresent = 1 << 3;

bool ask_pagemap(RunWriter& runs, std::uint64_t start, std::uint64_t end) {
  const long fd = raw_open_read("/proc/self/pagemap");
  if (failed(fd)) return false;
  constexpr std::uint64_t kAtOnce = 64;
  PageRegion regions[kAtOnce];
  std::uint64_t at = start;
  bool done = true;
  while (done && at < end) {
    ScanArguments arguments{sizeof arguments, 0, at, end, 0, reinterpret_cast<std::uint64_t>(regions), kAtOnce, 0, 0, kPageIsPresent, 0, kPageIsPresent};
    const long count = raw_syscall(SYS_ioctl, fd, kPagemapScan, address_of(&arguments));
    if (failed(count) || arguments.walk_end <= at) {
      done = false;
      break;
    }
    for (long i = 0; i < count && done; ++i) {
      done = runs.add((regions[i].start - at) / kPage, false) && runs.add((regions[i].end - regions[i].start) / kPage, true);
      at = regions[i].end;
    }
    if (done && arguments.walk_end > at) done = runs.add((arguments.walk_end - at) / kPage, false);
    at = arguments.walk_end;
  }
  raw_close(fd);
  return done;
}

}  // namespace

// What reserves terabytes is mostly holes: mincore would take seconds for each. Without PAGEMAP_SCAN such mappings stay untold.
bool write_residency(ThreadRing& ring, wire::RecordKind kind, std::uint64_t start, std::uint64_t end) {
  constexpr std::uint64_t kSparse = std::uint64_t{1} << 30, kMost = std::uint64_t{1} << 36, kPart = std::uint64_t{1} << 40;
  for (std::uint64_t part = start; part < end; part += kPart) {
    const std::uint64_t part_end = end - part < kPart ? end : part + kPart;
    if (end - start >= kSparse) {
      RunWriter runs(ring, kind, part);
      if (ask_pagemap(runs, part, part_end)) {
        if (!runs.finish()) return false;
        continue;
      }
      if (end - start > kMost) return false;
    }
    RunWriter runs(ring, kind, part);
    if (!ask_mincore(ring, runs, part, part_end) || !runs.finish()) return false;
  }
  return true;
}

void record_touch(ThreadRing& ring, std::uint64_t pointer) {
  constexpr std::uint64_t kSmallest = 16 * 1024, kLargest = std::uint64_t{1} << 46;
  const std::uint64_t word = load_word(pointer - 8);
  const std::uint64_t size = word & ~std::uint64_t{7};
  if (size < kSmallest || size > kLargest) return;
  if ((word & 2) != 0) {  // own mapping: prev_size holds the front offset (memalign)
    const std::uint64_t offset = load_word(pointer - 16);
    const std::uint64_t start = pointer - 16 - offset;
    if ((start & (kPage - 1)) != 0 || ((size + offset) & (kPage - 1)) != 0) return;  // not a sane header
    write_residency(ring, wire::RecordKind::touch, start, start + offset + size);
    return;
  }
  if (!sampled(ring, size)) return;
  const std::uint64_t chunk = pointer - 16;
  write_residency(ring, wire::RecordKind::touch, chunk & ~(kPage - 1), (chunk + size + kPage - 1) & ~(kPage - 1));
}

}  // namespace faultline::shim
