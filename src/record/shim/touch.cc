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

}  // namespace

bool write_residency(ThreadRing& ring, wire::RecordKind kind, std::uint64_t start, std::uint64_t end) {
  unsigned runs = 0;
  bool resident = true;
  std::uint32_t length = 0;
  std::uint64_t record_start = start;
  for (std::uint64_t at = start; at < end;) {
    std::uint64_t pages = (end - at) / kPage;
    if (pages > sizeof ring.residency) pages = sizeof ring.residency;
    if (failed(raw_mincore(at, pages * kPage, ring.residency))) return false;
    for (std::uint64_t i = 0; i < pages; ++i) {
      if (((ring.residency[i] & 1) != 0) == resident) {
        ++length;
        continue;
      }
      ring.runs[runs++] = length;
      resident = !resident;
      length = 1;
      if (runs + 1 >= kMaxRuns && resident) {  // go on in a new record; it begins with a resident run as every record does
        if (!write_runs(ring, kind, record_start, runs)) return false;
        record_start = at + i * kPage;
        runs = 0;
      }
    }
    at += pages * kPage;
  }
  ring.runs[runs++] = length;
  return write_runs(ring, kind, record_start, runs);
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
