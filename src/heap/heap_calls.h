// Heap: the malloc family's entry points. glibc malloc/malloc.c, the __libc_* functions and the tcache ones.
#pragma once

#include <bit>

#include "heap/heap.h"

namespace faultline::heap {

template <MemoryProvider Memory>
Tcache& Heap<Memory>::cache_slot(ThreadId thread) {
  if (last_cache_ != nullptr && thread == last_thread_) [[likely]] return *last_cache_;
  std::unique_ptr<Tcache>& slot = caches_[thread];
  if (slot == nullptr) slot = std::make_unique<Tcache>();
  last_thread_ = thread;
  last_cache_ = slot.get();
  return *slot;
}

template <MemoryProvider Memory>
Tcache* Heap<Memory>::cache_if_ready(ThreadId thread) {
  Tcache& slot = cache_slot(thread);
  return slot.ready ? &slot : nullptr;
}

template <MemoryProvider Memory>
Tcache* Heap<Memory>::cache(ThreadId thread) {
  Tcache& slot = cache_slot(thread);
  if (slot.ready) [[likely]] return &slot;
  slot.structure = arena_.allocate(nullptr, kTcacheStruct);
  if (slot.structure == 0) return nullptr;
  memory_.clear(slot.structure, kTcacheStruct);
  slot.ready = true;
  return &slot;
}

template <MemoryProvider Memory>
Address Heap<Memory>::malloc(ThreadId thread, std::uint64_t size) {
  const std::uint64_t nb = chunk_size_for(size);
  if (nb == 0) return 0;
  Tcache* const tcache = cache(thread);
  const std::uint64_t slot = Tcache::index(nb);
  if (slot < settings_.tcache_bins && tcache != nullptr && tcache->count(slot) > 0) return tcache->get(memory_, slot);
  return arena_.allocate(tcache, size);
}

template <MemoryProvider Memory>
Address Heap<Memory>::malloc_from_tcache(ThreadId thread, std::uint64_t size) {
  const std::uint64_t nb = chunk_size_for(size);
  Tcache* const tcache = cache_if_ready(thread);
  if (nb == 0 || tcache == nullptr) return 0;
  const std::uint64_t slot = Tcache::index(nb);
  return slot < settings_.tcache_bins && tcache->count(slot) > 0 ? tcache->get(memory_, slot) : 0;
}

// calloc never looks into the cache. What a growth of the heap added behind the old top is known to be zero, even where
// the heap had been before and was trimmed: Linux hands out zero pages (glibc's MORECORE_CLEARS is 2 there).
template <MemoryProvider Memory>
Address Heap<Memory>::calloc(ThreadId thread, std::uint64_t count, std::uint64_t size) {
  std::uint64_t bytes = 0;
  if (__builtin_mul_overflow(count, size, &bytes)) return 0;
  Tcache* const tcache = cache(thread);
  const Address old_top = arena_.top();
  const std::uint64_t old_top_size = arena_.top_size();
  const Address user = arena_.allocate(tcache, bytes);
  if (user == 0) return 0;
  const Address chunk = chunk_of_user(user);
  const std::uint64_t head = headers_.head(chunk);
  if ((head & kMmapped) != 0) {
    if (settings_.perturb != 0) memory_.clear(user, bytes);
    return user;
  }
  std::uint64_t dirty = head & ~kFlagBits;
  if (settings_.perturb == 0 && chunk == old_top && dirty > old_top_size) dirty = old_top_size;
  memory_.clear(user, dirty - 8);
  return user;
}

template <MemoryProvider Memory>
void Heap<Memory>::free(ThreadId thread, Address user) {
  if (user == 0) return;
  const Address chunk = chunk_of_user(user);
  if (arena_.segments().find(chunk) == nullptr) [[unlikely]] {
    FL_ASSERT(arena_.mapped().contains(chunk));
    settings_.adapt(headers_.head(chunk));
    arena_.mapped().release(chunk);
    return;
  }
  arena_.free(cache(thread), chunk);
}

// A mapped block stays mapped, even for a handful of bytes.
template <MemoryProvider Memory>
Address Heap<Memory>::realloc_mapped(ThreadId thread, Address chunk, std::uint64_t size, std::uint64_t nb) {
  if (const Address moved = arena_.mapped().resize(chunk, nb, settings_.huge_page)) return user_of(moved);
  const std::uint64_t old_size = headers_.size(chunk);
  if (old_size - 8 >= nb) return user_of(chunk);
  const Address user = malloc(thread, size);
  if (user == 0) return 0;
  memory_.copy(user, user_of(chunk), old_size - kChunkHeader);
  arena_.mapped().release(chunk);
  return user;
}

template <MemoryProvider Memory>
Address Heap<Memory>::realloc(ThreadId thread, Address old, std::uint64_t size) {
  if (old == 0) return malloc(thread, size);
  if (size == 0) {
    free(thread, old);
    return 0;
  }
  const Address chunk = chunk_of_user(old);
  const std::uint64_t nb = chunk_size_for(size);
  if (arena_.segments().find(chunk) == nullptr) [[unlikely]] {
    FL_ASSERT(arena_.mapped().contains(chunk));
    return nb == 0 ? 0 : realloc_mapped(thread, chunk, size, nb);
  }
  Tcache* const tcache = cache(thread);
  if (nb == 0) return 0;
  return arena_.resize(tcache, chunk, headers_.size(chunk), nb);
}

template <MemoryProvider Memory>
Address Heap<Memory>::memalign(ThreadId thread, std::uint64_t alignment, std::uint64_t size) {
  if (alignment <= kChunkAlignment) return malloc(thread, size);
  if (alignment > std::uint64_t{1} << 63) return 0;  // EINVAL
  alignment = std::bit_ceil(alignment < kMinChunk ? kMinChunk : alignment);
  return arena_.allocate_aligned(cache_if_ready(thread), alignment, size);
}

// Rounds up to whole pages with a mask that keeps bit 0: pvalloc(100) asks for 4097 bytes. Fixed in 2.42.
template <MemoryProvider Memory>
Address Heap<Memory>::pvalloc(ThreadId thread, std::uint64_t size) {
  const std::uint64_t page = memory_.page_size();
  std::uint64_t rounded = 0;
  if (__builtin_add_overflow(size, page - 1, &rounded)) return 0;
  return memalign(thread, page, rounded & (0 - (page - 1)));
}

template <MemoryProvider Memory>
int Heap<Memory>::mallopt(ThreadId, int parameter, int value) {
  arena_.consolidate();  // whatever the parameter
  return settings_.mallopt(parameter, value);
}

template <MemoryProvider Memory>
int Heap<Memory>::malloc_trim(ThreadId, std::uint64_t pad) {
  return arena_.trim(pad) ? 1 : 0;
}

template <MemoryProvider Memory>
bool Heap<Memory>::free_foreign(ThreadId thread, Address user, std::uint64_t chunk_size) {
  Tcache* const tcache = cache(thread);
  const std::uint64_t slot = Tcache::index(chunk_size);
  if (tcache == nullptr || slot >= settings_.tcache_bins || tcache->count(slot) >= settings_.tcache_count) return false;
  FL_ASSERT(chunk_size >= kMinChunk && chunk_size % kChunkAlignment == 0);
  if (tcache->holds_foreign(user)) return false;  // its own arena took it out unseen: the cache's record of it is stale
  tcache->put_foreign(user, slot);
  return true;
}

template <MemoryProvider Memory>
void Heap<Memory>::adopt_foreign_thread(ThreadId thread) {
  cache_slot(thread).ready = true;
}

template <MemoryProvider Memory>
void Heap<Memory>::thread_exit(ThreadId thread) {
  const auto at = caches_.find(thread);
  if (at == caches_.end()) return;
  const std::unique_ptr<Tcache> ending = std::move(at->second);
  caches_.erase(at);
  last_cache_ = nullptr;
  if (!ending->ready) return;
  for (unsigned i = 0; i < kTcacheBins; ++i) {
    while (ending->count(i) > 0) {
      const bool foreign = ending->holds_foreign(ending->head(i));
      const Address user = ending->get(memory_, i);
      if (!foreign) arena_.free(nullptr, chunk_of_user(user));
    }
  }
  if (ending->structure == 0) return;
  const Address chunk = chunk_of_user(ending->structure);
  if (arena_.mapped().contains(chunk)) {
    settings_.adapt(headers_.head(chunk));
    arena_.mapped().release(chunk);
  } else {
    arena_.free(nullptr, chunk);
  }
}

}  // namespace faultline::heap
