// Arena: memory from the kernel and back. glibc malloc/malloc.c: sysmalloc, sysmalloc_mmap_fallback, systrim, mtrim.
#pragma once

#include "heap/arena.h"

namespace faultline::heap {

inline constexpr std::uint64_t kMmapAsMorecore = std::uint64_t{1} << 20;

template <MemoryProvider Memory>
Address Arena<Memory>::move_break(std::int64_t by) {
  if (settings_.explicit_huge_page != 0) return 0;  // glibc then never asks (__always_fail_morecore)
  const Address old_break = memory_.sbrk(by);
  return old_break == kFailed ? 0 : old_break;
}

template <MemoryProvider Memory>
void Arena<Memory>::advise_huge(Address start, std::uint64_t size) {
  if (settings_.huge_page == 0 || size < settings_.huge_page) return;
  const Address page = align_down(start, memory_.page_size());
  memory_.advise(page, size + (start - page), Advice::huge_page);
}

// The break cannot move: take a mapping as the new top. From then on areas are never expected to touch.
template <MemoryProvider Memory>
Address Arena<Memory>::map_instead_of_break(std::uint64_t& size, std::uint64_t nb, std::uint64_t old_size) {
  if (const std::uint64_t huge = settings_.explicit_huge_page) {
    if (const Address start = map_as_top(size, nb, old_size, huge, huge, huge)) return start;
  }
  const std::uint64_t page = memory_.page_size();
  const bool swapped = common_.version.swapped_brk_fallback;
  return map_as_top(size, nb, old_size, swapped ? kMmapAsMorecore : page, swapped ? page : kMmapAsMorecore, 0);
}

template <MemoryProvider Memory>
Address Arena<Memory>::map_as_top(std::uint64_t& size, std::uint64_t nb, std::uint64_t old_size, std::uint64_t page,
                                  std::uint64_t least, std::uint64_t huge_page) {
  std::uint64_t length = size;
  if (contiguous_) length = align_up(length + old_size, page);
  if (length < least) length = least;
  if (length <= nb) return 0;
  const Address start = memory_.map({.length = length, .huge_page = huge_page});
  if (start == kFailed) return 0;
  if (huge_page == 0) advise_huge(start, length);
  contiguous_ = false;
  size = length;
  return start;
}

// Grows until top holds nb and carves it. A large request gets a mapping of its own first.
template <MemoryProvider Memory>
Address Arena<Memory>::grow(Tcache* tcache, std::uint64_t nb) {
  note([&](OutcomeBox& box) { box.large_request(nb, common_.mapped.count(), settings_); });
  const bool maps = nb >= settings_.mmap_threshold && common_.mapped.count() < settings_.mmap_max;
  if (maps) {
    if (const Address chunk = common_.mapped.allocate(nb, settings_)) return user_of(chunk);
  }
  FL_ASSERT(top_size() < nb + kMinChunk);
  if (is_main()) {
    grow_by_break(tcache, nb);
  } else if (!grow_in_heaps(tcache, nb) && !maps) {
    if (const Address chunk = common_.mapped.allocate_plain(nb, settings_)) return user_of(chunk);
    if (common_.version.grows_heap_twice) grow_in_heaps(tcache, nb);
  }
  if (system_mem_ > max_system_mem_) max_system_mem_ = system_mem_;
  return top_ == 0 ? 0 : carve_top(nb);
}

template <MemoryProvider Memory>
void Arena<Memory>::grow_by_break(Tcache* tcache, std::uint64_t nb) {
  const Address old_top = top_;
  const std::uint64_t old_size = top_size();
  note([&](OutcomeBox& box) { box.top_padded(settings_); });
  std::uint64_t size = nb + settings_.top_pad + kMinChunk;
  if (contiguous_) size -= old_size;
  if (settings_.huge_page != 0) {
    const Address now = heap_start_ == 0 && !settings_.break_known ? 0 : move_break(0);  // libc's own note of it
    size = align_up(now + size, settings_.huge_page) - now;
  } else {
    size = align_up(size, memory_.page_size());
  }
  Address start = 0, known_end = 0;
  if (static_cast<std::int64_t>(size) > 0) {
    start = move_break(static_cast<std::int64_t>(size));
    if (start != 0) advise_huge(start, size);
  }
  if (start == 0) {
    start = map_instead_of_break(size, nb, old_size);
    known_end = start == 0 ? 0 : start + size;
  }
  if (start == 0) return;
  if (heap_start_ == 0) heap_start_ = start;
  system_mem_ += size;
  const Address old_end = old_top + old_size;
  if (old_top != 0 && start == old_end && known_end == 0) {
    headers_.set_head(old_top, (size + old_size) | kPrevInUse);
    segments_.set_end(old_end + size);
  } else {
    adopt_new_area(tcache, start, size, known_end, old_top, old_size);
  }
}

// The area does not continue the old top: first growth, somebody else's sbrk in between, or a mapping.
template <MemoryProvider Memory>
void Arena<Memory>::adopt_new_area(Tcache* tcache, Address start, std::uint64_t size, Address known_end,
                                   Address old_top, std::uint64_t old_size) {
  Address aligned = start, end = known_end;
  std::uint64_t correction = 0;
  if (contiguous_) {
    const Address old_end = old_top + old_size;
    if (old_size != 0) {
      FL_ASSERT(start >= old_end);  // glibc aborts: "break adjusted to free malloc space"
      system_mem_ += start - old_end;
    }
    aligned = align_up(start, kChunkAlignment);
    correction = aligned - start + old_size;
    const Address would_end = start + size + correction;
    correction += align_up(would_end, memory_.page_size()) - would_end;  // never to a huge page
    end = move_break(static_cast<std::int64_t>(correction));
    if (end == 0) {
      correction = 0;
      end = move_break(0);
    } else {
      advise_huge(end, correction);
    }
  } else {
    FL_ASSERT(start % kChunkAlignment == 0);
    if (end == 0) end = move_break(0);
  }
  if (end == 0) return;
  top_ = aligned;
  headers_.set_head(top_, (end - aligned + correction) | kPrevInUse);
  system_mem_ += correction;
  segments_.open(aligned, end + correction);
  if (old_size != 0) fence_off(tcache, old_top, old_size);
}

// Two 16-byte chunks in use close the old area; the rest of the old top is freed, with all that a free may do.
template <MemoryProvider Memory>
void Arena<Memory>::fence_off(Tcache* tcache, Address old_top, std::uint64_t old_size) {
  const std::uint64_t size = align_down(old_size - 2 * kChunkHeader, kChunkAlignment);
  headers_.set_head(old_top, size | kPrevInUse);
  headers_.set_head(old_top + size, kChunkHeader | kPrevInUse);
  headers_.set_head(old_top + size + kChunkHeader, kChunkHeader | kPrevInUse);
  if (size >= kMinChunk) free(tcache, old_top);
}

template <MemoryProvider Memory>
bool Arena<Memory>::trim_top(std::uint64_t pad) {
  if (top_ == 0) return false;
  const std::uint64_t size = top_size(), extra = trimmable(size, pad, granularity());
  if (extra == 0) return false;
  const Address end = move_break(0);
  if (end != top_ + size) return false;
  move_break(-static_cast<std::int64_t>(extra));
  const Address new_end = move_break(0);
  if (new_end == 0 || new_end == end) return false;
  const std::uint64_t released = end - new_end;
  system_mem_ -= released;
  headers_.set_head(top_, (size - released) | kPrevInUse);
  segments_.set_end(new_end);
  return true;
}

template <MemoryProvider Memory>
bool Arena<Memory>::trim(std::uint64_t pad) {
  consolidate();
  const std::uint64_t page = memory_.page_size();
  bool gave = false;
  for (unsigned bin = kUnsortedBin; bin < kBinCount - 1; ++bin) {
    if (bin != kUnsortedBin && bin < bin_index(page)) continue;
    for (Address chunk = bins_.last(bin); !bins_.is_token(chunk); chunk = bins_.bk(chunk)) {
      const std::uint64_t size = headers_.size(chunk);
      if (size < page + kFreeChunkStruct) continue;
      const Address start = align_up(chunk + kFreeChunkStruct, page);
      const std::uint64_t length = align_down(size - (start - chunk), page);
      if (length < page) continue;
      memory_.advise(start, length, Advice::dont_need);
      gave = true;
    }
  }
  return (is_main() && trim_top(pad)) || gave;
}

template <MemoryProvider Memory>
std::uint64_t Arena<Memory>::used_bytes_from(Address top) const {
  const std::uint64_t size = headers_.size(top);
  if (is_main()) return size;
  const Address base = common_.heaps.base_of(top);
  const std::uint64_t handed_out = base + common_.heaps.accessible_bytes(base) - top;  // perhaps before a shrink
  return size < handed_out ? handed_out : size;
}

}  // namespace faultline::heap
