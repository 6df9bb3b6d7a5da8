// The main arena: everything below the per-thread caches. glibc malloc/malloc.c: struct malloc_state, _int_malloc,
// _int_free, _int_realloc, _int_memalign, malloc_consolidate, sysmalloc, systrim, mtrim.
// Members are defined by subject in arena_allocate.h, arena_free.h, arena_resize.h and arena_system.h.
#pragma once

#include "heap/bins.h"
#include "heap/fastbins.h"
#include "heap/mapped_chunks.h"
#include "heap/segments.h"
#include "heap/settings.h"
#include "heap/tcache.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class Arena {
 public:
  Arena(Memory& memory, Settings& settings, const Version& version)
      : memory_(memory), settings_(settings), version_(version), headers_(memory), bins_(memory), fastbins_(memory),
        mapped_(memory) {}
  Arena(Memory& memory, Settings& settings, const Version& version, const Arena& parent)
      : memory_(memory), settings_(settings), version_(version), headers_(memory), bins_(memory, parent.bins_),
        fastbins_(memory, parent.fastbins_), mapped_(memory, parent.mapped_), segments_(parent.segments_), top_(parent.top_),
        last_remainder_(parent.last_remainder_), heap_start_(parent.heap_start_), contiguous_(parent.contiguous_),
        system_mem_(parent.system_mem_), max_system_mem_(parent.max_system_mem_) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // A Tcache* below is the calling thread's cache or nullptr while it has none: frees inside the arena go there too.

  // A block for a request, never taken from the cache directly. User address, 0 for ENOMEM.
  Address allocate(Tcache* tcache, std::uint64_t request);
  Address allocate_aligned(Tcache* tcache, std::uint64_t alignment, std::uint64_t request);
  // Resizes a heap chunk to nb (a chunk size). User address, 0 for ENOMEM with the old block untouched.
  Address resize(Tcache* tcache, Address chunk, std::uint64_t old_size, std::uint64_t nb);
  // Frees a heap chunk: cache, else fastbin, else merge and perhaps trim.
  void free(Tcache* tcache, Address chunk);
  void consolidate();
  bool trim(std::uint64_t pad);  // malloc_trim: whole free pages go back, then the top

  Address top() const { return top_; }
  std::uint64_t top_size() const { return top_ == 0 ? 0 : headers_.size(top_); }
  Address heap_start() const { return heap_start_; }
  std::uint64_t system_mem() const { return system_mem_; }
  std::uint64_t max_system_mem() const { return max_system_mem_; }
  MappedChunks<Memory>& mapped() { return mapped_; }
  const MappedChunks<Memory>& mapped() const { return mapped_; }
  const Segments& segments() const { return segments_; }
  const Bins<Memory>& bins() const { return bins_; }
  const Fastbins<Memory>& fastbins() const { return fastbins_; }

  // Asserts that a heap chunk of this size can be where it is said to be.
  void check_placed(Address chunk, std::uint64_t size) const {
    const Segment* segment = segments_.find(chunk);
    FL_ASSERT(segment != nullptr && chunk % kChunkAlignment == 0);
    FL_ASSERT(size >= kMinChunk && size % kChunkAlignment == 0 && size <= segment->end - chunk);
  }

 private:
  static constexpr unsigned kScanLimit = 10000;

  // arena_allocate.h
  Address take_fastbin(Tcache* tcache, std::uint64_t nb);
  Address take_small_bin(Tcache* tcache, std::uint64_t nb);
  struct Scan {
    Address found = 0;  // user address
    bool perturb = true;
  };
  Scan scan_unsorted(Tcache* tcache, std::uint64_t nb, std::uint64_t& filed);
  Address split_last_remainder(Address victim, std::uint64_t size, std::uint64_t nb);
  Address take_from_bin(Address victim, std::uint64_t nb, bool remember_remainder);
  Address carve_top(std::uint64_t nb);
  Address perturbed(Address user, std::uint64_t request);

  // arena_free.h
  void free_merging(Address chunk, std::uint64_t size);
  std::uint64_t merge(Address chunk, std::uint64_t size);  // returns the merged size, that of top if it went there

  // arena_system.h
  Address grow(Tcache* tcache, std::uint64_t nb);
  Address map_instead_of_break(std::uint64_t& size, std::uint64_t nb, std::uint64_t old_size);
  void adopt_new_area(Tcache* tcache, Address start, std::uint64_t size, Address known_end, Address old_top,
                      std::uint64_t old_size);
  void fence_off(Tcache* tcache, Address old_top, std::uint64_t old_size);
  Address move_break(std::int64_t by);  // the old break, or 0 when it failed (glibc's MORECORE)
  void advise_huge(Address start, std::uint64_t size);
  bool trim_top(std::uint64_t pad);
  std::uint64_t granularity() const { return settings_.huge_page != 0 ? settings_.huge_page : memory_.page_size(); }

  Memory& memory_;
  Settings& settings_;
  const Version& version_;
  ChunkHeaders<Memory> headers_;
  Bins<Memory> bins_;
  Fastbins<Memory> fastbins_;
  MappedChunks<Memory> mapped_;
  Segments segments_;
  Address top_ = 0;  // 0 until the first growth (glibc's initial_top, size 0)
  Address last_remainder_ = 0;  // a bare address, never cleared
  Address heap_start_ = 0;      // where the first growth began (sbrk_base)
  bool contiguous_ = true;      // until the break failed once
  std::uint64_t system_mem_ = 0, max_system_mem_ = 0;  // foreign gaps count
};

}  // namespace faultline::heap

#include "heap/arena_allocate.h"
#include "heap/arena_free.h"
#include "heap/arena_resize.h"
#include "heap/arena_system.h"
