// What would go back to the kernel from a HeapImage: by malloc_trim(0), or by a free() that reaches the top. glibc
// malloc/malloc.c: malloc_consolidate, mtrim, systrim; malloc/arena.c: heap_trim.
#pragma once

#include <algorithm>
#include <vector>

#include "heap/heap_image.h"

namespace faultline::heap {

struct AddressRange {
  Address start = 0, end = 0;
  std::uint64_t bytes() const { return end - start; }
};

// Chunks [first, end) of a piece that will be one free chunk once the fastbins are merged.
struct FreeRun {
  std::size_t first_chunk = 0, end_chunk = 0;
  AddressRange range;
  bool reaches_top = false;  // it will be part of top
};

struct Trimmed {
  std::vector<AddressRange> pages;  // madvise(MADV_DONTNEED), low to high
  Address top = 0;                  // where it begins once the fastbins are merged; 0: it is not in this piece
  std::int64_t break_drop = 0;      // bytes; negative: the smallest top of all makes malloc_trim grow the heap
  Address end = 0;                  // of what the piece keeps
};

// Which part of a free chunk goes back, or of a top. Chunks are asked about from low to high.
class GonePart {
 public:
  explicit GonePart(const Trimmed& trimmed) : trimmed_(trimmed) {}
  AddressRange of(const AddressRange& chunk) {  // empty, at its end, if nothing goes
    const std::vector<AddressRange>& pages = trimmed_.pages;
    while (next_ < pages.size() && pages[next_].end <= chunk.start) ++next_;
    if (next_ < pages.size() && pages[next_].start < chunk.end)  // a chunk is part of one free chunk, so of one range
      return {std::max(chunk.start, pages[next_].start), std::min(chunk.end, pages[next_].end)};
    return {std::clamp(trimmed_.end, chunk.start, chunk.end), chunk.end};
  }

 private:
  const Trimmed& trimmed_;
  std::size_t next_ = 0;
};

// run(FreeRun) for each, low to high; without one for a top that has nothing free below it.
template <class Free, class F>
void for_each_free_run(const ImagePiece& piece, Free free, F run) {
  FreeRun found;
  Address at = piece.first;
  const auto close = [&](std::size_t end_chunk, bool reaches_top) {
    if (found.first_chunk == end_chunk) return;
    found.end_chunk = end_chunk;
    found.range.end = at;
    found.reaches_top = reaches_top;
    run(static_cast<const FreeRun&>(found));
  };
  found.range.start = at;
  for (std::size_t i = 0; i < piece.chunks.size(); ++i) {
    const ImageChunk& chunk = piece.chunks[i];
    if (!free(chunk)) {
      close(i, chunk.use == ChunkUse::top);
      found.first_chunk = i + 1;
      found.range.start = at + chunk.size;
    }
    at += chunk.size;
  }
  close(piece.chunks.size(), false);
}

// The whole pages of a free chunk that malloc_trim gives back; empty if there are none.
AddressRange whole_pages(const AddressRange& chunk);

// By how much malloc_trim(0) lowers the break if top begins there.
std::int64_t break_drop(const HeapImage& image, const ImagePiece& piece, Address top);

// malloc_trim(0) on one piece; free(const ImageChunk&): which chunks are, or would be, free in their arena. A top in a thread arena
// keeps what it has.
template <class Free>
Trimmed trim(const HeapImage& image, const ImagePiece& piece, Free free) {
  Trimmed result;
  if (piece.holds_top()) result.top = piece.top();
  for_each_free_run(piece, free, [&](const FreeRun& run) {
    if (run.reaches_top) result.top = run.range.start;
    else if (const AddressRange pages = whole_pages(run.range); pages.bytes() > 0) result.pages.push_back(pages);
  });
  result.break_drop = break_drop(image, piece, result.top);
  result.end = piece.end - static_cast<std::uint64_t>(std::max<std::int64_t>(result.break_drop, 0));
  return result;
}

// What leaves at the end of an arena's memory when a free() merges everything from `from`, in `piece`, into top: bytes the break
// or the heap's end moves down, heaps that go away counted with all they have open. Only if the threshold says so.
std::uint64_t fall_after_free(const HeapImage& image, const ImagePiece& piece, Address from);

}  // namespace faultline::heap
