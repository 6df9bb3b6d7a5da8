// ptmalloc: the malloc family over arenas and per-thread caches. The same code runs as a model (heap.h), where threads take
// turns, and as a process's own malloc (malloc/), where Host brings real mutexes. glibc malloc/malloc.c: the __libc_*
// functions, tcache_*.
//
// Sizes are bytes, 0 is NULL (ENOMEM). A Thread is the caller's own state; nobody else touches it.
#pragma once

#include "heap/arena_list.h"

namespace faultline::heap {

template <MemoryProvider Memory, class Host>
class Allocator {
 public:
  using Arenas = ArenaList<Memory, Host>;
  using Entry = typename Arenas::Entry;

  struct Thread {
    Tcache cache;
    ArenaId arena = kNoArena;  // kept for life, but for a thread of the main arena that got no memory there
    bool ending = false;       // no cache any more
  };

  Allocator(Memory& memory, const Parameters& parameters, Host host = {})
      : host_(host), common_(memory, parameters), headers_(memory), arenas_(common_, host_, parameters) {}
  // A child after fork, in a memory that holds what the parent's did; `forking` is the one thread that goes on there.
  Allocator(Memory& memory, const Allocator& parent, const Thread* forking)
      : host_(parent.host_), common_(memory, parent.common_), headers_(memory),
        arenas_(common_, host_, parent.arenas_, forking == nullptr ? kNoArena : forking->arena) {}

  void assign(const Allocator& saved) {  // of the same memory; its threads are the caller's
    host_ = saved.host_;
    common_.assign(saved.common_);
    arenas_.assign(saved.arenas_);
  }

  void first_thread(Thread& thread) {  // the one whose call initialises malloc: it gets the main arena
    arenas_.attach(thread.arena, kMainArena);
  }

  // malloc and free in two parts: what the thread's cache does alone, inlined where speed counts (0 or false where it
  // cannot), and the rest.
  [[gnu::always_inline]] Address malloc_cached(Thread& thread, std::uint64_t size) {
    const std::uint64_t slot = Tcache::index(chunk_size_for(size));  // of no list, if that was 0
    return thread.cache.has(slot) ? thread.cache.get(common_.memory, slot) : 0;
  }
  Address malloc_uncached(Thread& thread, std::uint64_t size);
  [[gnu::always_inline]] bool free_cached(Thread& thread, Address user) {  // a chunk of any arena
    const Address chunk = chunk_of_user(user);
    const std::uint64_t head = headers_.head(chunk), size = head & ~kFlagBits;
    if ((head & kMmapped) != 0 || !thread.cache.ready) return false;
    check_chunk(chunk, size);
    if constexpr (!trusts_headers<Memory>) entry_of(chunk, head).arena.check_placed(chunk, size);
    return thread.cache.take_back(common_.memory, common_.settings, user, size);
  }
  void free_uncached(Thread& thread, Address user);

  Address malloc(Thread& thread, std::uint64_t size) {
    if (const Address user = malloc_cached(thread, size)) [[likely]] return user;
    return malloc_uncached(thread, size);
  }
  Address calloc(Thread& thread, std::uint64_t count, std::uint64_t size);
  Address realloc(Thread& thread, Address old, std::uint64_t size);
  void free(Thread& thread, Address user) {
    if (user != 0 && !free_cached(thread, user)) free_uncached(thread, user);
  }
  // memalign; posix_memalign and valloc (alignment 4096) differ from it only in argument checks.
  Address memalign(Thread& thread, std::uint64_t alignment, std::uint64_t size);
  Address aligned_alloc(Thread& thread, std::uint64_t alignment, std::uint64_t size);
  Address pvalloc(Thread& thread, std::uint64_t size);
  int mallopt(int parameter, int value);
  int malloc_trim(std::uint64_t pad);
  std::uint64_t usable_size(Address user) const;  // malloc_usable_size
  // The thread's cached blocks go back to their arenas, then its arena may serve another thread.
  void thread_exit(Thread& thread);

  Host& host() { return host_; }
  Common<Memory>& common() { return common_; }
  const Common<Memory>& common() const { return common_; }
  Arenas& arenas() { return arenas_; }
  const Arenas& arenas() const { return arenas_; }
  const ChunkHeaders<Memory>& headers() const { return headers_; }
  Entry& entry_of(Address chunk, std::uint64_t head) {
    if ((head & kNonMain) == 0) [[likely]] return arenas_.main();
    return arenas_.at(common_.heaps.arena(common_.heaps.base_of(chunk)));
  }

 private:
  enum class Retry : std::uint8_t { when_threaded, always };
  struct Room {  // a new arena's first heap has at least: on the first try, and on the second (memalign forgets the alignment)
    std::uint64_t first, again;
  };

  // take(Arena&) in the thread's arena, and where that gives nothing in another one; map() if there is no arena at all.
  template <class Take, class Map>
  Address in_arena(Thread& thread, Room room, Retry retry, Take take, Map map);
  Address map_only(std::uint64_t request);
  Tcache* cache(Thread& thread);  // creates it if need be; nullptr only when that failed, or the thread is ending
  void free_chunk(Tcache* tcache, Address chunk, std::uint64_t head);
  void give_back(Entry& entry, Address chunk);
  void release_mapped(Address chunk);
  Address realloc_mapped(Thread& thread, Address chunk, std::uint64_t size, std::uint64_t nb);
  Address realloc_elsewhere(Thread& thread, Address chunk, std::uint64_t size);
  Address take_aligned(Thread& thread, std::uint64_t alignment, std::uint64_t nb);

  Host host_;
  Common<Memory> common_;
  ChunkHeaders<Memory> headers_;
  Arenas arenas_;
};

}  // namespace faultline::heap

#include "heap/allocator_calls.h"
