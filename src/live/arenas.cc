#include "live/arenas.h"

#include <algorithm>

#include "base/units.h"

namespace faultline::live {
namespace {

// heap_info: ar_ptr, prev, size, mprotect_size. sizes are of this heap; prev is 0 or another heap of the arena.
enum class Verdict { heap, other, unreadable };

Verdict look(const Mapping& mapping, std::uint64_t address, const ReadWord& read_word, std::uint64_t& arena) {
  const auto ar_ptr = read_word(address), prev = read_word(address + 8), size = read_word(address + 16), writable = read_word(address + 24);
  if (!ar_ptr || !prev || !size || !writable) return Verdict::unreadable;
  const bool sizes = *size > 0 && *size <= *writable && *writable <= kHeapMax && *size % kPageSize == 0 && *writable % kPageSize == 0 &&
                     mapping.start <= address && address + *writable <= mapping.end;
  // The arena lies right behind the heap_info of its first heap.
  const bool first = *prev == 0 && *ar_ptr > address && *ar_ptr < address + kPageSize;
  const bool later = *prev != 0 && *prev % kHeapMax == 0 && *ar_ptr % kHeapMax < kPageSize;
  if (!sizes || (!first && !later)) return Verdict::other;
  arena = *ar_ptr;
  return Verdict::heap;
}

}  // namespace

std::vector<Heap> find_heaps(const std::vector<Mapping>& mappings, const ReadWord& read_word) {
  std::vector<Heap> heaps;
  for (std::size_t i = 0; i < mappings.size(); ++i) {
    const Mapping& mapping = mappings[i];
    if (!mapping.anonymous() || !mapping.writable() || mapping.shared()) continue;
    // Heaps that are full lie against each other in one mapping.
    for (std::uint64_t at = (mapping.start + kHeapMax - 1) & ~(kHeapMax - 1); at < mapping.end; at += kHeapMax) {
      const bool full = at + kHeapMax <= mapping.end;
      const bool reserved = !full && i + 1 < mappings.size() && mappings[i + 1].inaccessible() && mappings[i + 1].anonymous() &&
                            mappings[i + 1].start == mapping.end && mappings[i + 1].end >= at + kHeapMax;
      if (!full && !reserved) continue;
      std::uint64_t arena = 0;
      const Verdict verdict = look(mapping, at, read_word, arena);
      if (verdict == Verdict::heap || (verdict == Verdict::unreadable && reserved && at == mapping.start)) heaps.push_back({at, arena});
    }
  }
  return heaps;
}

}  // namespace faultline::live
