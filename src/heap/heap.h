// ptmalloc of glibc 2.36, address for address: the main arena, thread caches and mapped chunks of one process, over any
// MemoryProvider. No globals, no threads: the thread that calls is an argument.
//
// Sizes are bytes, addresses are the modelled process's, 0 is NULL (ENOMEM). Preconditions, asserted where glibc itself
// would abort: a block given to free, realloc, chunk_of or usable_size is live (ask owns() about a foreign pointer).
// Not modelled: thread arenas (see free_foreign), arena_get_retry, hugetlb=2 (see not_modelled in settings.h).
#pragma once

#include <memory>
#include <unordered_map>

#include "heap/arena.h"
#include "heap/heap_state.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class Heap {
 public:
  // The heap begins where the memory's break is at the first growth. The memory must outlive the heap.
  Heap(Memory& memory, const Parameters& parameters)
      : memory_(memory), parameters_(parameters), settings_(parameters), headers_(memory),
        arena_(memory, settings_, parameters_.version) {}
  // A child after fork, in a memory that holds what the parent's did. Only the thread that forked goes on there: the caches of
  // the others are lost to the child, their blocks stay handed out. Linux and glibc: __malloc_fork_unlock_child().
  Heap(Memory& memory, const Heap& parent, ThreadId forking)
      : memory_(memory), parameters_(parent.parameters_), settings_(parent.settings_), headers_(memory),
        arena_(memory, settings_, parameters_.version, parent.arena_) {
    const auto cache = parent.caches_.find(forking);
    if (cache != parent.caches_.end()) caches_.emplace(forking, std::make_unique<Tcache>(*cache->second));
  }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  Address malloc(ThreadId thread, std::uint64_t size);
  Address calloc(ThreadId thread, std::uint64_t count, std::uint64_t size);
  Address realloc(ThreadId thread, Address old, std::uint64_t size);
  void free(ThreadId thread, Address user);
  // memalign; posix_memalign, aligned_alloc and valloc (alignment 4096) differ from it only in argument checks.
  Address memalign(ThreadId thread, std::uint64_t alignment, std::uint64_t size);
  Address pvalloc(ThreadId thread, std::uint64_t size);
  int mallopt(ThreadId thread, int parameter, int value);
  int malloc_trim(ThreadId thread, std::uint64_t pad);

  // Thread arenas are not modelled yet. A block of one that a thread frees may still enter the thread's cache and come
  // back from its malloc: true if it went there, false if it left this model's sight. Its memory is never touched.
  bool free_foreign(ThreadId thread, Address user, std::uint64_t chunk_size);
  // A thread whose arena is not this one: the struct of its cache lies elsewhere and is not carved from this heap.
  void adopt_foreign_thread(ThreadId thread);
  // What malloc would take from the thread's cache, 0 if nothing: all that this heap knows of such a thread's mallocs.
  Address malloc_from_tcache(ThreadId thread, std::uint64_t size);
  // The thread ends: its cached blocks go back to this arena (those of other arenas out of sight), then the struct.
  void thread_exit(ThreadId thread);

  // True if a live block of this heap may start here: exact for mapped chunks, a plausible header in use otherwise.
  bool owns(Address user) const;
  ChunkInfo chunk_of(Address user) const;
  std::uint64_t usable_size(Address user) const;  // malloc_usable_size
  HeapState state() const;
  const Settings& settings() const { return settings_; }

  // Chunks of the main heap from low to high: f(Address chunk, std::uint64_t size, ChunkUse use). Mapped chunks are not
  // among them. Costs a walk over the free lists first.
  template <class F>
  void for_each_chunk(F f) const;
  void check_invariants() const;  // asserts every structural rule

 private:
  Tcache& cache_slot(ThreadId thread);
  Tcache* cache_if_ready(ThreadId thread);  // nullptr while the thread has none
  Tcache* cache(ThreadId thread);           // creates it if need be; nullptr only when that failed
  Address realloc_mapped(ThreadId thread, Address chunk, std::uint64_t size, std::uint64_t nb);
  ChunkUses uses() const;
  void check_bins() const;

  Memory& memory_;
  const Parameters parameters_;
  Settings settings_;
  ChunkHeaders<Memory> headers_;
  Arena<Memory> arena_;
  std::unordered_map<ThreadId, std::unique_ptr<Tcache>> caches_;
  ThreadId last_thread_ = 0;
  Tcache* last_cache_ = nullptr;
};

}  // namespace faultline::heap

#include "heap/heap_calls.h"
#include "heap/heap_walk.h"
