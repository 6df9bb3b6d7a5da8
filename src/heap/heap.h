// The malloc of a modelled process, address for address: all arenas, thread caches and mapped chunks, over any
// MemoryProvider. No globals, no threads: the thread that calls is an argument, and calls come in one order.
//
// Sizes are bytes, addresses are the modelled process's, 0 is NULL (ENOMEM). Preconditions, asserted where glibc itself
// would abort: a block given to free, realloc, chunk_of or usable_size is live (ask owns() about a foreign pointer).
#pragma once

#include <memory>
#include <unordered_map>
#include <vector>

#include "heap/allocator.h"
#include "heap/heap_state.h"
#include "heap/outcome_box.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class Heap {
 public:
  // The heap begins where the memory's break is at the first growth. The memory must outlive the heap. The thread that
  // calls first is the process's first: it has the main arena.
  Heap(Memory& memory, const Parameters& parameters)
      : memory_(memory), allocator_(memory, parameters), headers_(memory) {}
  // A child after fork, in a memory that holds what the parent's did. Only the thread that forked goes on there: the caches of
  // the others are lost to the child, their blocks stay handed out. Linux and glibc: __malloc_fork_unlock_child().
  Heap(Memory& memory, const Heap& parent, ThreadId forking)
      : memory_(memory), allocator_(memory, parent.allocator_, parent.find_thread(forking)), headers_(memory),
        initialised_(parent.initialised_) {
    if (const Thread* thread = parent.find_thread(forking)) threads_.emplace(forking, std::make_unique<Thread>(*thread));
  }
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  // Everything but the words in memory becomes as it is in `saved`, a heap over the same memory: for going back in time.
  void assign(const Heap& saved) {
    allocator_.assign(saved.allocator_);
    threads_.clear();
    for (const auto& [id, thread] : saved.threads_) threads_.emplace(id, std::make_unique<Thread>(*thread));
    initialised_ = saved.initialised_;
    last_ = nullptr;
  }

  Address malloc(ThreadId thread, std::uint64_t size) { return allocator_.malloc(at(thread), size); }
  Address calloc(ThreadId thread, std::uint64_t count, std::uint64_t size) { return allocator_.calloc(at(thread), count, size); }
  Address realloc(ThreadId thread, Address old, std::uint64_t size) {
    FL_ASSERT(old == 0 || in_own_memory(old));
    return allocator_.realloc(at(thread), old, size);
  }
  void free(ThreadId thread, Address user) {
    FL_ASSERT(user == 0 || in_own_memory(user));
    allocator_.free(at(thread), user);
  }
  // memalign; posix_memalign and valloc (alignment 4096) differ from it only in argument checks.
  Address memalign(ThreadId thread, std::uint64_t alignment, std::uint64_t size) {
    return allocator_.memalign(at(thread), alignment, size);
  }
  Address aligned_alloc(ThreadId thread, std::uint64_t alignment, std::uint64_t size) {
    return allocator_.aligned_alloc(at(thread), alignment, size);
  }
  Address pvalloc(ThreadId thread, std::uint64_t size) { return allocator_.pvalloc(at(thread), size); }
  int mallopt(ThreadId thread, int parameter, int value) {
    at(thread);
    return allocator_.mallopt(parameter, value);
  }
  int malloc_trim(ThreadId thread, std::uint64_t pad) {
    at(thread);
    return allocator_.malloc_trim(pad);
  }

  // pthread_create was called: from now on a request that its arena cannot serve is tried in another one. A second
  // thread's first call says so too.
  void thread_created() { allocator_.host().threaded = true; }
  // The thread ends: its cached blocks go back to their arenas, then its arena may serve another thread.
  void thread_exit(ThreadId thread);

  // A recording knows better than the rules which arena a thread got: they depend on which locks were held. The arena
  // must exist; the thread has none yet, or changes to this one.
  void use_arena(ThreadId thread, ArenaId arena) {
    Thread& own = at(thread);
    if (own.arena != arena) allocator_.arenas().attach(own.arena, arena);
  }
  ArenaId arena_of(ThreadId thread) const {  // kNoArena: it made no call that needed one
    const Thread* const found = find_thread(thread);
    return found == nullptr ? kNoArena : found->arena;
  }
  ArenaId arena_holding(Address user) const;  // of a heap block; kNoArena for any other address
  std::uint32_t arena_count() const { return allocator_.arenas().size(); }

  // True if a live block of this heap may start here: exact for mapped chunks, a plausible header in use otherwise.
  bool owns(Address user) const;
  ChunkInfo chunk_of(Address user) const;
  std::uint64_t usable_size(Address user) const { return allocator_.usable_size(user); }  // malloc_usable_size
  HeapState state(ArenaId arena = kMainArena) const;
  const Settings& settings() const { return allocator_.common().settings; }
  // From the start of a process on: which other settings would have the same outcome. nullptr: nobody asks.
  void note_outcome(OutcomeBox* box) { allocator_.common().settings.box = box; }

  // Chunks from low to high, arena by arena: f(Address chunk, std::uint64_t size, ChunkUse use), or with the ArenaId as
  // a fourth argument. Mapped chunks are not among them. Costs a walk over the free lists first.
  template <class F>
  void for_each_chunk(F f) const;
  std::vector<HeapPiece> pieces() const;  // in the same order
  template <class F>
  void for_each_mapped_chunk(F f) const {  // f(Address chunk): where its header is
    for (const Address chunk : allocator_.common().mapped.chunks()) f(chunk);
  }
  void check_invariants() const;  // asserts every structural rule

 private:
  using Thread = typename Allocator<Memory, ModelHost>::Thread;

  Thread& at(ThreadId thread) {
    if (last_ != nullptr && thread == last_id_) [[likely]] return *last_;
    return switch_to(thread);
  }
  Thread& switch_to(ThreadId thread);
  const Thread* find_thread(ThreadId thread) const {
    const auto found = threads_.find(thread);
    return found == threads_.end() ? nullptr : found->second.get();
  }
  bool in_own_memory(Address user) const {  // so that a header can be read there
    const Common<Memory>& common = allocator_.common();
    const Address chunk = chunk_of_user(user);
    return arena(kMainArena).segments().find(chunk) != nullptr || common.heaps.is_heap(common.heaps.base_of(chunk)) || common.mapped.contains(chunk);
  }
  const Arena<Memory>& arena(ArenaId id) const { return allocator_.arenas().at(id).arena; }
  ChunkUses uses() const;
  template <class F>
  void walk(Address from, Address end, const ChunkUses& free, Address top, F f) const;
  void check_arena(const Arena<Memory>& arena) const;
  void check_bins(const Arena<Memory>& arena) const;

  Memory& memory_;
  Allocator<Memory, ModelHost> allocator_;
  ChunkHeaders<Memory> headers_;
  std::unordered_map<ThreadId, std::unique_ptr<Thread>> threads_;
  bool initialised_ = false;  // the first thread has called
  ThreadId last_id_ = 0;
  Thread* last_ = nullptr;
};

template <MemoryProvider Memory>
typename Heap<Memory>::Thread& Heap<Memory>::switch_to(ThreadId thread) {
  std::unique_ptr<Thread>& slot = threads_[thread];
  if (slot == nullptr) {
    slot = std::make_unique<Thread>();
    if (!initialised_) allocator_.first_thread(*slot);
    else allocator_.host().threaded = true;
    initialised_ = true;
  }
  last_id_ = thread;
  last_ = slot.get();
  return *slot;
}

template <MemoryProvider Memory>
void Heap<Memory>::thread_exit(ThreadId thread) {
  const auto found = threads_.find(thread);
  if (found == threads_.end()) return;
  allocator_.thread_exit(*found->second);
  threads_.erase(found);
  last_ = nullptr;
}

}  // namespace faultline::heap

#include "heap/heap_walk.h"
