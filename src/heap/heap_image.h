// HeapImage: a malloc's heaps at one moment as plain data: every chunk, what it is used for, which pages are resident.
// Accounting and pins are read from it; it holds on to nothing.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/units.h"
#include "heap/heap.h"

namespace faultline::heap {

using OwnerId = std::uint32_t;  // whoever a live block is counted for: a call site. The heap does not know what it means
inline constexpr OwnerId kNoOwner = ~OwnerId{0};

// What malloc itself does not know about a live block.
struct BlockFacts {
  std::uint64_t requested = 0;  // bytes
  OwnerId owner = kNoOwner;
};

struct ImageChunk {
  std::uint64_t size = 0;
  std::uint64_t requested = 0;  // of a live one
  OwnerId owner = kNoOwner;     // of a live one
  ChunkUse use = ChunkUse::live;
};
constexpr bool is_free(ChunkUse use) { return use == ChunkUse::fastbin || use == ChunkUse::bin; }  // in its arena: not cached, not top

struct ImagePiece : HeapPiece {
  std::vector<ImageChunk> chunks;  // from first to end, without a gap
  std::vector<bool> resident;      // pages from that of start to that of end

  bool resident_at(Address address) const { return resident[(address - page_floor(start)) >> kPageShift]; }
  std::uint64_t resident_bytes(Address from, Address to) const {
    std::uint64_t sum = 0;
    while (from < to) {
      const Address next = std::min(to, page_floor(from) + kPageSize);
      if (resident_at(from)) sum += next - from;
      from = next;
    }
    return sum;
  }
  Address top() const { return end - chunks.back().size; }  // of a piece that holds it
  bool holds_top() const { return !chunks.empty() && chunks.back().use == ChunkUse::top; }
};

struct ImageArena {
  std::uint64_t system_mem = 0;
  Address top = 0;  // 0: it never grew
};

struct ImageMapping {  // a block with a mapping of its own
  Address start = 0, user = 0;
  std::uint64_t length = 0;  // of the mapping
  std::uint64_t requested = 0, resident = 0, requested_resident = 0;
  OwnerId owner = kNoOwner;
};

struct HeapImage {
  std::vector<ImageArena> arenas;
  std::vector<ImagePiece> pieces;      // by arena, the main one first; low to high
  std::vector<ImageMapping> mappings;  // by address
  Address program_break = 0;
  std::uint64_t heap_bytes = kThreadHeapBytes;  // that a heap of a thread arena reserves
  Settings settings{Parameters{}};
};

// block(Address user) -> std::optional<BlockFacts>: of a live block; one that nobody knows counts as asked for whole.
// resident(Address page) -> bool.
template <MemoryProvider Memory, class Block, class Resident>
HeapImage image_of(const Heap<Memory>& heap, Address program_break, Block block, Resident resident) {
  HeapImage image;
  image.program_break = program_break;
  image.settings = heap.settings();
  image.settings.box = nullptr;  // it does not outlive the heap
  if (image.settings.explicit_huge_page != 0) image.heap_bytes = 4 * image.settings.explicit_huge_page;
  for (ArenaId id = 0; id < heap.arena_count(); ++id) {
    const HeapState state = heap.state(id);
    image.arenas.push_back({state.system_mem, state.top});
  }
  for (const HeapPiece& piece : heap.pieces()) {
    ImagePiece& copy = image.pieces.emplace_back();
    static_cast<HeapPiece&>(copy) = piece;
    for (Address page = page_floor(piece.start); page < piece.end; page += kPageSize) copy.resident.push_back(resident(page));
  }
  std::size_t at = 0;
  heap.for_each_chunk([&](Address chunk, std::uint64_t size, ChunkUse use) {
    while (chunk >= image.pieces[at].end || chunk < image.pieces[at].start) ++at;
    ImageChunk copy{.size = size, .use = use};
    if (use == ChunkUse::live) {
      const std::optional<BlockFacts> facts = block(user_of(chunk));
      copy.requested = facts ? facts->requested : size - 8;
      if (facts) copy.owner = facts->owner;
    }
    image.pieces[at].chunks.push_back(copy);
  });
  std::stable_sort(image.pieces.begin(), image.pieces.end(), [](const ImagePiece& x, const ImagePiece& y) { return x.arena < y.arena; });
  heap.for_each_mapped_chunk([&](Address chunk) {
    const ChunkInfo info = heap.chunk_of(user_of(chunk));
    ImageMapping mapping{.start = info.address, .user = user_of(chunk), .length = info.size};
    const std::optional<BlockFacts> facts = block(mapping.user);
    mapping.requested = facts ? facts->requested : info.address + info.size - mapping.user;
    if (facts) mapping.owner = facts->owner;
    const Address asked_end = mapping.user + mapping.requested, end = mapping.start + mapping.length;
    for (Address page = mapping.start; page < end; page += kPageSize) {
      if (!resident(page)) continue;
      mapping.resident += kPageSize;
      const Address from = std::max(page, mapping.user), to = std::min(page + kPageSize, asked_end);
      if (to > from) mapping.requested_resident += to - from;
    }
    image.mappings.push_back(mapping);
  });
  std::sort(image.mappings.begin(), image.mappings.end(), [](const ImageMapping& x, const ImageMapping& y) { return x.start < y.start; });
  return image;
}

}  // namespace faultline::heap
