// What one can see of a Heap from outside.
#pragma once

#include <cstdint>
#include <unordered_map>

#include "heap/thread_heaps.h"

namespace faultline::heap {

using ThreadId = std::int32_t;

enum class ChunkUse : std::uint8_t {
  live,     // handed out
  own,      // malloc's own: the struct of a thread's cache
  tcache, fastbin, bin,
  top,
  fence,    // what closes a piece of memory that holds no top
};
using ChunkUses = std::unordered_map<Address, ChunkUse>;  // of the chunks that are not live

// A piece of address space that chunks follow each other in: a segment of the main heap, a heap of a thread arena.
struct HeapPiece {
  ArenaId arena = kMainArena;
  Address start = 0;   // thread arenas: heap_info and, in the first heap, the arena's state lie before the first chunk
  Address first = 0;   // chunk
  Address end = 0;     // as far as it is open
  Address before = 0;  // thread arenas: start of the heap before it in the same arena; 0 for the first
};

// A heap chunk, or for a mapped one the whole mapping.
struct ChunkInfo {
  Address address = 0;     // start of the chunk; for a mapped one the page the mapping starts at
  std::uint64_t size = 0;  // of the chunk; for a mapped one the length of the whole mapping
  bool mmapped = false;
};

struct HeapState {
  Address heap_start = 0;  // 0 before the first growth, as are brk and top
  Address brk = 0;         // end of the segment that holds top: the break, unless the heap had to move to mappings
  Address top = 0;
  std::uint64_t top_size = 0;
  std::uint64_t system_mem = 0, max_system_mem = 0;  // mallinfo2 arena and its peak; gaps of foreign sbrks count
  std::uint64_t mmapped_bytes = 0;                   // mallinfo2 hblkhd
  std::uint64_t n_mmaps = 0;                         // mallinfo2 hblks
  std::uint64_t mmap_threshold = 0, trim_threshold = 0, top_pad = 0;
};

}  // namespace faultline::heap
