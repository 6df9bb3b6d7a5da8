// Chunks with a mapping of their own: large requests, one mmap each. glibc malloc/malloc.c: sysmalloc_mmap,
// munmap_chunk, mremap_chunk. The prev_size word holds the distance from the mapping's start (memalign only).
// All arenas of a process share them; the counters are atomic for the allocator that runs on real memory.
#pragma once

#include <atomic>

#include "heap/chunk_book.h"
#include "heap/chunk_headers.h"
#include "heap/settings.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class MappedChunks {
 public:
  explicit MappedChunks(Memory& memory) : memory_(memory), headers_(memory) {}
  MappedChunks(Memory& memory, const MappedChunks& parent)
      : memory_(memory), headers_(memory), book_(parent.book_), count_(parent.count()), bytes_(parent.bytes()) {}

  void assign(const MappedChunks& saved) {  // of the same memory
    book_ = saved.book_;
    count_ = saved.count();
    bytes_ = saved.bytes();
  }

  // The new chunk, or 0 when the kernel refuses. Explicit huge pages are tried first where they are set and fit.
  Address allocate(std::uint64_t chunk_size, const Settings& settings) {
    if (const std::uint64_t huge = settings.explicit_huge_page; huge != 0 && chunk_size >= huge) {
      if (const Address chunk = allocate_in_pages(chunk_size, huge, true, 0)) return chunk;
    }
    return allocate_plain(chunk_size, settings);
  }
  Address allocate_plain(std::uint64_t chunk_size, const Settings& settings) {
    return allocate_in_pages(chunk_size, memory_.page_size(), false, settings.huge_page);
  }

  void release(Address chunk) {
    const std::uint64_t offset = headers_.prev_size(chunk), size = headers_.size(chunk);
    FL_ASSERT((offset + size) % memory_.page_size() == 0 && (chunk - offset) % memory_.page_size() == 0);
    book_.remove(chunk);
    count_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(offset + size, std::memory_order_relaxed);
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
    book_.remove(chunk);
    book_.add(base + offset);
    headers_.set_head(base + offset, (wanted - offset) | kMmapped);
    bytes_.fetch_add(wanted - total, std::memory_order_relaxed);
    return base + offset;
  }

  // memalign hands out a later chunk of the same mapping.
  Address shift(Address chunk, std::uint64_t by) {
    const Address moved = chunk + by;
    headers_.set_prev_size(moved, headers_.prev_size(chunk) + by);
    headers_.set_head(moved, (headers_.size(chunk) - by) | kMmapped);
    book_.remove(chunk);
    book_.add(moved);
    return moved;
  }

  bool contains(Address chunk) const { return book_.contains(chunk); }
  std::int32_t count() const { return count_.load(std::memory_order_relaxed); }
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }
  const std::unordered_set<Address>& chunks() const { return book_.chunks(); }

 private:
  Address allocate_in_pages(std::uint64_t chunk_size, std::uint64_t page, bool explicitly, std::uint64_t advise_huge) {
    const std::uint64_t total = align_up(chunk_size + 8, page);
    if (total <= chunk_size) return 0;
    const Address base = memory_.map({.length = total, .huge_page = explicitly ? page : 0});
    if (base == kFailed) return 0;
    if (advise_huge != 0 && total >= advise_huge) memory_.advise(base, total, Advice::huge_page);
    headers_.set_prev_size(base, 0);
    headers_.set_head(base, total | kMmapped);
    book_.add(base);
    count_.fetch_add(1, std::memory_order_relaxed);
    bytes_.fetch_add(total, std::memory_order_relaxed);
    return base;
  }

  Memory& memory_;
  ChunkHeaders<Memory> headers_;
  ChunkBook<!trusts_headers<Memory>> book_;
  std::atomic<std::int32_t> count_ = 0;
  std::atomic<std::uint64_t> bytes_ = 0;
};

}  // namespace faultline::heap
