// Chunks with a mapping of their own: large requests, one mmap each. glibc malloc/malloc.c: sysmalloc_mmap,
// munmap_chunk, mremap_chunk. The prev_size word holds the distance from the mapping's start (memalign only).
#pragma once

#include <unordered_set>

#include "heap/chunk_headers.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class MappedChunks {
 public:
  explicit MappedChunks(Memory& memory) : memory_(memory), headers_(memory) {}
  MappedChunks(Memory& memory, const MappedChunks& parent)
      : memory_(memory), headers_(memory), chunks_(parent.chunks_), count_(parent.count_), bytes_(parent.bytes_) {}

  // The new chunk, or 0 when the kernel refuses.
  Address allocate(std::uint64_t chunk_size, std::uint64_t huge_page) {
    const std::uint64_t total = align_up(chunk_size + 8, memory_.page_size());
    if (total <= chunk_size) return 0;
    const Address base = memory_.map(total, Protection::read_write);
    if (base == kFailed) return 0;
    if (huge_page != 0 && total >= huge_page) memory_.advise(base, total, Advice::huge_page);
    headers_.set_prev_size(base, 0);
    headers_.set_head(base, total | kMmapped);
    chunks_.insert(base);
    ++count_;
    bytes_ += total;
    return base;
  }

  void release(Address chunk) {
    const std::uint64_t offset = headers_.prev_size(chunk), size = headers_.size(chunk);
    FL_ASSERT((offset + size) % memory_.page_size() == 0 && (chunk - offset) % memory_.page_size() == 0);
    FL_ASSERT(chunks_.erase(chunk) == 1 && count_ > 0);
    --count_;
    bytes_ -= offset + size;
    memory_.unmap(chunk - offset, offset + size);
  }

  // Stays mapped whatever the new size. The chunk, moved or not, or 0 when mremap fails.
  Address resize(Address chunk, std::uint64_t chunk_size, std::uint64_t huge_page) {
    const std::uint64_t offset = headers_.prev_size(chunk);
    const std::uint64_t total = offset + headers_.size(chunk);
    const std::uint64_t wanted = align_up(chunk_size + offset + 8, memory_.page_size());
    if (wanted == total) return chunk;
    const Address base = memory_.remap(chunk - offset, total, wanted);
    if (base == kFailed) return 0;
    if (huge_page != 0 && wanted >= huge_page) memory_.advise(base, wanted, Advice::huge_page);
    chunks_.erase(chunk);
    chunks_.insert(base + offset);
    headers_.set_head(base + offset, (wanted - offset) | kMmapped);
    bytes_ += wanted - total;
    return base + offset;
  }

  // memalign hands out a later chunk of the same mapping.
  Address shift(Address chunk, std::uint64_t by) {
    const Address moved = chunk + by;
    headers_.set_prev_size(moved, headers_.prev_size(chunk) + by);
    headers_.set_head(moved, (headers_.size(chunk) - by) | kMmapped);
    chunks_.erase(chunk);
    chunks_.insert(moved);
    return moved;
  }

  bool contains(Address chunk) const { return chunks_.contains(chunk); }
  std::int32_t count() const { return count_; }
  std::uint64_t bytes() const { return bytes_; }
  const std::unordered_set<Address>& chunks() const { return chunks_; }

 private:
  Memory& memory_;
  ChunkHeaders<Memory> headers_;
  std::unordered_set<Address> chunks_;
  std::int32_t count_ = 0;
  std::uint64_t bytes_ = 0;
};

}  // namespace faultline::heap
