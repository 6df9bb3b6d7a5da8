#include "heap/trim.h"

#include "base/assert.h"

namespace faultline::heap {
namespace {

std::uint64_t granularity(const Settings& settings) { return settings.huge_page != 0 ? settings.huge_page : kPageSize; }

bool break_can_fall(const HeapImage& image, const ImagePiece& piece) {
  return image.settings.explicit_huge_page == 0 && image.program_break == piece.end;
}

const ImagePiece* piece_at(const HeapImage& image, Address start) {
  for (const ImagePiece& piece : image.pieces) {
    if (piece.arena != kMainArena && piece.start == start) return &piece;
  }
  return nullptr;
}

// Where top would begin in a heap that is the last one again: at its fences, or at what is free below them.
Address top_again(const ImagePiece& piece) {
  Address at = piece.end;
  std::size_t i = piece.chunks.size();
  while (i > 0 && piece.chunks[i - 1].use == ChunkUse::fence) at -= piece.chunks[--i].size;
  while (i > 0 && is_free(piece.chunks[i - 1].use)) at -= piece.chunks[--i].size;
  return at;
}

std::uint64_t heaps_after_free(const HeapImage& image, const ImagePiece* piece, Address top) {
  const Settings& settings = image.settings;
  std::uint64_t gone = 0;
  while (piece->before != 0 && top == piece->first) {
    const ImagePiece* const before = piece_at(image, piece->before);
    FL_ASSERT(before != nullptr);
    const Address next = top_again(*before);
    const std::uint64_t room = (before->end - next) + (image.heap_bytes - (before->end - before->start));
    if (room < settings.top_pad + kMinChunk + kPageSize) break;
    gone += piece->end - piece->start;
    piece = before;
    top = next;
  }
  const std::uint64_t size = piece->end - top;
  return size < settings.trim_threshold || size <= kMinChunk ? gone : gone + trimmable(size, settings.top_pad, kPageSize);
}

}  // namespace

AddressRange whole_pages(const AddressRange& chunk) {
  if (chunk.bytes() < kPageSize + kFreeChunkStruct) return {};
  const Address start = page_ceil(chunk.start + kFreeChunkStruct), end = page_floor(chunk.end);
  return start < end ? AddressRange{start, end} : AddressRange{};
}

std::int64_t break_drop(const HeapImage& image, const ImagePiece& piece, Address top) {
  if (piece.arena != kMainArena || top == 0 || !break_can_fall(image, piece)) return 0;
  return static_cast<std::int64_t>(trimmable(piece.end - top, 0, granularity(image.settings)));
}

std::uint64_t fall_after_free(const HeapImage& image, const ImagePiece& piece, Address from) {
  const std::uint64_t size = piece.end - from;
  if (size < kConsolidationThreshold) return 0;
  if (piece.arena != kMainArena) return heaps_after_free(image, &piece, from);
  if (size < image.settings.trim_threshold || !break_can_fall(image, piece)) return 0;
  return trimmable(size, image.settings.top_pad, granularity(image.settings));
}

}  // namespace faultline::heap
