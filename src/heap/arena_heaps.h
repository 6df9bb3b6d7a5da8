// Arena: growth and trimming of an arena that is not the main one, in heaps of its own. glibc malloc/arena.c: _int_new_arena,
// heap_trim; malloc/malloc.c: sysmalloc.
#pragma once

#include "heap/arena.h"

namespace faultline::heap {

// The arena's own state lies in front of its first chunk. (What it holds is in this object.)
template <MemoryProvider Memory>
bool Arena<Memory>::open(std::uint64_t request) {
  const ThreadHeaps<Memory>& heaps = common_.heaps;
  const std::uint64_t least = heaps.header_bytes() + kArenaStateBytes + kChunkAlignment;
  Address base = common_.heaps.open(id_, least + request);
  if (base == 0) base = common_.heaps.open(id_, least);  // a request that no heap holds may still get a mapping
  if (base == 0) return false;
  top_ = align_up(base + heaps.header_bytes() + kArenaStateBytes, kChunkAlignment);
  heap_start_ = base;
  system_mem_ = max_system_mem_ = heaps.open_bytes(base);
  headers_.set_head(top_, (base + system_mem_ - top_) | kPrevInUse);
  return true;
}

// Extends the heap that holds top, or opens another one. What top_pad says counts only for a new heap.
template <MemoryProvider Memory>
bool Arena<Memory>::grow_in_heaps(Tcache* tcache, std::uint64_t nb) {
  ThreadHeaps<Memory>& heaps = common_.heaps;
  const Address old_top = top_, old_base = heaps.base_of(old_top);
  const std::uint64_t old_size = top_size(), missing = nb + kMinChunk - old_size;
  const std::uint64_t old_open = heaps.open_bytes(old_base);
  if (static_cast<std::int64_t>(missing) > 0 && heaps.grow(old_base, missing)) {
    const std::uint64_t open = heaps.open_bytes(old_base);
    system_mem_ += open - old_open;
    headers_.set_head(old_top, (old_base + open - old_top) | kPrevInUse);
    return true;
  }
  const Address base = heaps.open(id_, nb + kMinChunk + heaps.header_bytes());
  if (base == 0) return false;
  heaps.set_before(base, old_base);
  const std::uint64_t open = heaps.open_bytes(base);
  system_mem_ += open;
  top_ = base + heaps.header_bytes();
  headers_.set_head(top_, (open - heaps.header_bytes()) | kPrevInUse);
  fence_off_heap(tcache, old_top, old_size);
  return true;
}

// The old heap ends in a mark of size 0. Before it a 16-byte chunk in use, so that what is freed below has a neighbour.
template <MemoryProvider Memory>
void Arena<Memory>::fence_off_heap(Tcache* tcache, Address old_top, std::uint64_t old_size) {
  const std::uint64_t size = align_down(old_size - kMinChunk, kChunkAlignment);
  headers_.set_head(old_top + size + kChunkHeader, 0 | kPrevInUse);
  if (size >= kMinChunk) {
    headers_.set_head(old_top + size, kChunkHeader | kPrevInUse);
    headers_.set_foot(old_top + size, kChunkHeader);
    headers_.set_head(old_top, size | kPrevInUse | flag_);
    free(tcache, old_top);
  } else {
    headers_.set_head(old_top, (size + kChunkHeader) | kPrevInUse);
    headers_.set_foot(old_top, size + kChunkHeader);
  }
}

// Where the last heap holds nothing but top, and the one before has room for what comes next, it goes away.
template <MemoryProvider Memory>
bool Arena<Memory>::drop_last_heap(std::uint64_t pad) {
  ThreadHeaps<Memory>& heaps = common_.heaps;
  const Address base = heaps.base_of(top_);
  if (top_ != base + heaps.header_bytes()) return false;
  const Address before = heaps.before(base);
  if (before == 0) return false;
  const std::uint64_t open = heaps.open_bytes(before);
  const Address end = before + open, mark = align_down(end - kChunkHeader, kChunkAlignment);
  FL_ASSERT(headers_.head(mark) == (0 | kPrevInUse));
  Address fence = mark - headers_.prev_size(mark);
  std::uint64_t size = end - fence;
  const bool free_below = !headers_.prev_in_use(fence);
  if (free_below) size += headers_.prev_size(fence);
  FL_ASSERT(size > 0 && size < heaps.heap_bytes());
  if (size + (heaps.heap_bytes() - open) < pad + kMinChunk + heaps.page_size(base)) return false;
  system_mem_ -= heaps.open_bytes(base);
  heaps.close(base);
  if (free_below) {
    fence -= headers_.prev_size(fence);
    bins_.unlink(fence);
  }
  top_ = fence;
  headers_.set_head(top_, size | kPrevInUse);
  return true;
}

template <MemoryProvider Memory>
void Arena<Memory>::trim_heaps(std::uint64_t pad) {
  note([&](OutcomeBox& box) { box.top_padded(settings_); });
  while (drop_last_heap(pad)) {
  }
  const std::uint64_t size = top_size();
  note([&](OutcomeBox& box) { box.trimmable_top(size, settings_); });
  if (size < settings_.trim_threshold) return;
  const auto area = static_cast<std::int64_t>(size - kMinChunk - 1);
  if (area < 0 || static_cast<std::uint64_t>(area) <= pad) return;
  const Address base = common_.heaps.base_of(top_);
  const std::uint64_t extra = align_down(static_cast<std::uint64_t>(area) - pad, common_.heaps.page_size(base));
  if (extra == 0 || !common_.heaps.shrink(base, extra)) return;
  system_mem_ -= extra;
  headers_.set_head(top_, (size - extra) | kPrevInUse);
}

}  // namespace faultline::heap
