// An arena: everything below the per-thread caches. glibc malloc/malloc.c: struct malloc_state, _int_malloc, _int_free,
// _int_realloc, _int_memalign, malloc_consolidate, sysmalloc, systrim, mtrim. The main arena grows by the break; any other
// lives in 64 MiB heaps of its own (malloc/arena.c).
// Members are defined by subject in arena_allocate.h, arena_free.h, arena_resize.h, arena_system.h and arena_heaps.h.
#pragma once

#include "heap/bins.h"
#include "heap/common.h"
#include "heap/fastbins.h"
#include "heap/segments.h"
#include "heap/tcache.h"

namespace faultline::heap {

inline constexpr std::uint64_t kConsolidationThreshold = 64 * 1024;  // FASTBIN_CONSOLIDATION_THRESHOLD: a smaller free never trims

// How much of a top goes when it is trimmed to `pad` (systrim, heap_trim). It wraps for a top of 32 bytes: glibc then grows the heap by a
// page.
constexpr std::uint64_t trimmable(std::uint64_t top_size, std::uint64_t pad, std::uint64_t granularity) {
  const std::uint64_t area = top_size - kMinChunk - 1;
  return area <= pad ? 0 : align_down(area - pad, granularity);
}

template <MemoryProvider Memory>
class Arena {
 public:
  // The main arena holds nothing until its first growth; any other one is given its first heap by open().
  Arena(Common<Memory>& common, ArenaId id)
      : common_(common), memory_(common.memory), settings_(common.settings), id_(id), flag_(id == kMainArena ? 0 : kNonMain),
        headers_(memory_), bins_(memory_), fastbins_(memory_) {}
  Arena(Common<Memory>& common, const Arena& parent)
      : common_(common), memory_(common.memory), settings_(common.settings), id_(parent.id_), flag_(parent.flag_), headers_(memory_),
        bins_(memory_, parent.bins_), fastbins_(memory_, parent.fastbins_), segments_(parent.segments_), top_(parent.top_),
        last_remainder_(parent.last_remainder_), heap_start_(parent.heap_start_), contiguous_(parent.contiguous_),
        system_mem_(parent.system_mem_), max_system_mem_(parent.max_system_mem_) {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void assign(const Arena& saved) {  // of the same memory
    bins_.assign(saved.bins_);
    fastbins_.assign(saved.fastbins_);
    segments_ = saved.segments_;
    top_ = saved.top_;
    last_remainder_ = saved.last_remainder_;
    heap_start_ = saved.heap_start_;
    contiguous_ = saved.contiguous_;
    system_mem_ = saved.system_mem_;
    max_system_mem_ = saved.max_system_mem_;
  }

  // A Tcache* below is the calling thread's cache or nullptr while it has none: frees inside the arena go there too.

  // A block for a request, never taken from the cache directly. User address, 0 for ENOMEM.
  Address allocate(Tcache* tcache, std::uint64_t request);
  Address allocate_aligned(Tcache* tcache, std::uint64_t alignment, std::uint64_t request);
  // Frees the front and the tail that an aligned block does not need; for a mapped one only moves its start.
  Address align(Tcache* tcache, Address user, std::uint64_t alignment, std::uint64_t nb);
  // Resizes a heap chunk to nb (a chunk size). User address, 0 for ENOMEM with the old block untouched.
  Address resize(Tcache* tcache, Address chunk, std::uint64_t old_size, std::uint64_t nb);
  // Frees a heap chunk: cache, else fastbin, else merge and perhaps trim.
  void free(Tcache* tcache, Address chunk);
  bool put_in_cache(Tcache* tcache, Address chunk) const;  // the first part of free, which needs no lock
  void give_back(Address chunk);                           // the rest of it
  // Opens the first heap of an arena that is not the main one, with room for a request. False if there is no memory.
  bool open(std::uint64_t request);
  void consolidate();
  bool trim(std::uint64_t pad);  // malloc_trim: whole free pages go back, then the main arena's top

  ArenaId id() const { return id_; }
  bool is_main() const { return id_ == kMainArena; }
  Address top() const { return top_; }
  std::uint64_t top_size() const { return top_ == 0 ? 0 : headers_.size(top_); }
  Address heap_start() const { return heap_start_; }
  std::uint64_t system_mem() const { return system_mem_; }
  std::uint64_t max_system_mem() const { return max_system_mem_; }
  // Bytes from the old top on that may hold something: calloc clears no more of a block carved from there.
  std::uint64_t used_bytes_from(Address top) const;
  const Segments<!trusts_headers<Memory>>& segments() const { return segments_; }  // main arena only
  const Bins<Memory>& bins() const { return bins_; }
  const Fastbins<Memory>& fastbins() const { return fastbins_; }

  // Asserts that a heap chunk of this size can be where it is said to be.
  void check_placed(Address chunk, std::uint64_t size) const {
    check_chunk(chunk, size);
    if (!is_main()) {
      FL_ASSERT(common_.heaps.base_of(chunk) == common_.heaps.base_of(chunk + size - 1));
    } else if constexpr (!trusts_headers<Memory>) {
      const Segment* segment = segments_.find(chunk);
      FL_ASSERT(segment != nullptr && size <= segment->end - chunk);
    }
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
  enum class Filing : std::uint8_t { unsorted, by_version };  // where a small merged chunk goes
  void free_merging(Address chunk, std::uint64_t size);
  std::uint64_t merge(Address chunk, std::uint64_t size, Filing filing);  // returns the merged size, that of top if it went there
  std::uint64_t merge_above(Address chunk, std::uint64_t size, Filing filing);
  void trim_after_free(std::uint64_t size);
  void mark_non_main(Address chunk) {
    if (flag_ != 0) headers_.set_head(chunk, headers_.head(chunk) | flag_);
  }

  // arena_resize.h
  void free_tail(Address chunk, std::uint64_t size, std::uint64_t nb);

  // arena_system.h
  Address grow(Tcache* tcache, std::uint64_t nb);
  void grow_by_break(Tcache* tcache, std::uint64_t nb);
  Address map_instead_of_break(std::uint64_t& size, std::uint64_t nb, std::uint64_t old_size);
  Address map_as_top(std::uint64_t& size, std::uint64_t nb, std::uint64_t old_size, std::uint64_t page, std::uint64_t least,
                     std::uint64_t huge_page);
  void adopt_new_area(Tcache* tcache, Address start, std::uint64_t size, Address known_end, Address old_top,
                      std::uint64_t old_size);
  void fence_off(Tcache* tcache, Address old_top, std::uint64_t old_size);
  Address move_break(std::int64_t by);  // the old break, or 0 when it failed (glibc's MORECORE)
  void advise_huge(Address start, std::uint64_t size);
  bool trim_top(std::uint64_t pad);
  // arena_heaps.h
  bool grow_in_heaps(Tcache* tcache, std::uint64_t nb);
  void fence_off_heap(Tcache* tcache, Address old_top, std::uint64_t old_size);
  void trim_heaps(std::uint64_t pad);
  bool drop_last_heap(std::uint64_t pad);

  template <class F>
  void note(F f) const {
    note_in_box<Memory>(settings_, f);
  }
  std::uint64_t granularity() const { return settings_.huge_page != 0 ? settings_.huge_page : memory_.page_size(); }

  Common<Memory>& common_;
  Memory& memory_;
  Settings& settings_;
  const ArenaId id_;
  const std::uint64_t flag_;  // what the size words of its blocks carry: kNonMain, or nothing in the main arena
  ChunkHeaders<Memory> headers_;
  Bins<Memory> bins_;
  Fastbins<Memory> fastbins_;
  Segments<!trusts_headers<Memory>> segments_;
  Address top_ = 0;  // 0 until the first growth (glibc's initial_top, size 0)
  Address last_remainder_ = 0;  // a bare address, never cleared
  Address heap_start_ = 0;      // where the first growth began (sbrk_base)
  bool contiguous_ = true;      // until the break failed once
  std::uint64_t system_mem_ = 0, max_system_mem_ = 0;  // foreign gaps count
};

}  // namespace faultline::heap

#include "heap/arena_allocate.h"
#include "heap/arena_free.h"
#include "heap/arena_heaps.h"
#include "heap/arena_resize.h"
#include "heap/arena_system.h"
