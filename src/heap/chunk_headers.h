// Reads and writes of chunk headers in the provider's memory. Every access here is one that glibc makes too, because in
// the modelled process it may fault.
#pragma once

#include "base/assert.h"
#include "heap/chunk.h"

namespace faultline::heap {

// Asserts what holds for every chunk of a heap.
inline void check_chunk(Address chunk, std::uint64_t size) {
  FL_ASSERT(chunk % kChunkAlignment == 0 && size >= kMinChunk && size % kChunkAlignment == 0);
}

template <MemoryProvider Memory>
class ChunkHeaders {
 public:
  explicit ChunkHeaders(Memory& memory) : memory_(memory) {}

  std::uint64_t head(Address chunk) const { return memory_.load_word(chunk + 8); }
  std::uint64_t size(Address chunk) const { return head(chunk) & ~kFlagBits; }
  bool prev_in_use(Address chunk) const { return (head(chunk) & kPrevInUse) != 0; }
  std::uint64_t prev_size(Address chunk) const { return memory_.load_word(chunk); }

  void set_head(Address chunk, std::uint64_t size_and_flags) { memory_.store_word(chunk + 8, size_and_flags); }
  void set_size(Address chunk, std::uint64_t size) { set_head(chunk, (head(chunk) & kFlagBits) | size); }  // keeps flags
  void set_prev_size(Address chunk, std::uint64_t size) { memory_.store_word(chunk, size); }
  void set_foot(Address chunk, std::uint64_t size) { memory_.store_word(chunk + size, size); }

  // A chunk's in-use bit lives in the header of the chunk above it.
  void set_in_use(Address chunk, std::uint64_t size) { set_head(chunk + size, head(chunk + size) | kPrevInUse); }
  void clear_prev_in_use(Address chunk) { set_head(chunk, head(chunk) & ~kPrevInUse); }

 private:
  Memory& memory_;
};

}  // namespace faultline::heap
