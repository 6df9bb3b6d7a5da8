// Allocator: the entry points. glibc malloc/malloc.c, the __libc_* functions and the tcache ones.
#pragma once

#include <bit>

#include "heap/allocator.h"

namespace faultline::heap {

template <MemoryProvider Memory, class Host>
template <class Take, class Map>
Address Allocator<Memory, Host>::in_arena(Thread& thread, Room room, Retry retry, Take take, Map map) {
  if (retry == Retry::when_threaded && host_.single_threaded()) return take(arenas_.main().arena);
  Entry* entry = arenas_.acquire(thread.arena, room.first);
  if (entry == nullptr) return map();
  Address user = take(entry->arena);
  if (user == 0) {
    entry = arenas_.retry(thread.arena, *entry, room.again);
    user = entry == nullptr ? map() : take(entry->arena);
  }
  if (entry != nullptr) entry->mutex.unlock();
  return user;
}

template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::map_only(std::uint64_t request) {
  const std::uint64_t nb = chunk_size_for(request);
  const Address chunk = nb == 0 ? 0 : common_.mapped.allocate(nb, common_.settings);
  return chunk == 0 ? 0 : user_of(chunk);
}

template <MemoryProvider Memory, class Host>
Tcache* Allocator<Memory, Host>::cache(Thread& thread) {
  if (thread.cache.ready) [[likely]] return &thread.cache;
  if (thread.ending) return nullptr;
  const Address structure = in_arena(
      thread, {kTcacheStruct, kTcacheStruct}, Retry::always, [](Arena<Memory>& arena) { return arena.allocate(nullptr, kTcacheStruct); },
      [this] { return map_only(kTcacheStruct); });
  if (structure == 0) return nullptr;
  common_.memory.clear(structure, kTcacheStruct);
  thread.cache.structure = structure;
  thread.cache.ready = true;
  return &thread.cache;
}

template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::malloc_uncached(Thread& thread, std::uint64_t size) {
  if (size > kMaxRequest) return 0;
  Tcache* const tcache = cache(thread);
  return in_arena(
      thread, {size, size}, Retry::when_threaded, [&](Arena<Memory>& arena) { return arena.allocate(tcache, size); },
      [&] { return map_only(size); });
}

// calloc looks into the cache only from 2.41 on. What a growth of the heap added behind the old top is known to be zero,
// even where the heap had been before and was trimmed: Linux hands out zero pages (glibc's MORECORE_CLEARS is 2 there).
template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::calloc(Thread& thread, std::uint64_t count, std::uint64_t size) {
  std::int64_t product = 0;  // signed: what is too large for a ptrdiff_t is refused before anything else happens
  if (__builtin_mul_overflow(count, size, &product)) return 0;
  const auto bytes = static_cast<std::uint64_t>(product);
  if (common_.version.calloc_takes_cached) {
    const std::uint64_t nb = chunk_size_for(bytes);
    if (nb == 0) return 0;
    if (const Address user = malloc_cached(thread, bytes)) {
      common_.memory.clear(user, nb - 8);
      return user;
    }
  }
  Tcache* const tcache = cache(thread);
  Address old_top = 0;
  std::uint64_t used = 0;
  bool first_try = true;
  const Address user = in_arena(
      thread, {bytes, bytes}, Retry::when_threaded,
      [&](Arena<Memory>& arena) {
        if (first_try) {  // a second try in another arena is not compared with that one's top
          old_top = arena.top();
          used = old_top == 0 ? 0 : arena.used_bytes_from(old_top);
          first_try = false;
        }
        return arena.allocate(tcache, bytes);
      },
      [&] { return map_only(bytes); });
  if (user == 0) return 0;
  const Address chunk = chunk_of_user(user);
  const std::uint64_t head = headers_.head(chunk);
  if ((head & kMmapped) != 0) {
    if (common_.settings.perturb != 0) common_.memory.clear(user, bytes);
    return user;
  }
  std::uint64_t dirty = head & ~kFlagBits;
  if (common_.settings.perturb == 0 && chunk == old_top && dirty > used) dirty = used;
  common_.memory.clear(user, dirty - 8);
  return user;
}

template <MemoryProvider Memory, class Host>
void Allocator<Memory, Host>::release_mapped(Address chunk) {
  common_.settings.adapt(headers_.head(chunk));
  common_.mapped.release(chunk);
}

template <MemoryProvider Memory, class Host>
void Allocator<Memory, Host>::give_back(Entry& entry, Address chunk) {
  if (host_.single_threaded()) return entry.arena.give_back(chunk);
  entry.mutex.lock();
  entry.arena.give_back(chunk);
  entry.mutex.unlock();
}

template <MemoryProvider Memory, class Host>
void Allocator<Memory, Host>::free_chunk(Tcache* tcache, Address chunk, std::uint64_t head) {
  Entry& entry = entry_of(chunk, head);
  if (!entry.arena.put_in_cache(tcache, chunk)) give_back(entry, chunk);
}

template <MemoryProvider Memory, class Host>
void Allocator<Memory, Host>::free_uncached(Thread& thread, Address user) {
  const Address chunk = chunk_of_user(user);
  const std::uint64_t head = headers_.head(chunk);
  if ((head & kMmapped) != 0) [[unlikely]] return release_mapped(chunk);
  if (!thread.cache.ready) [[unlikely]] return free_chunk(cache(thread), chunk, head);
  give_back(entry_of(chunk, head), chunk);
}

// A mapped block stays mapped, even for a handful of bytes.
template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::realloc_mapped(Thread& thread, Address chunk, std::uint64_t size, std::uint64_t nb) {
  if (const Address moved = common_.mapped.resize(chunk, nb, common_.settings.huge_page)) return user_of(moved);
  const std::uint64_t old_size = headers_.size(chunk);
  if (old_size - 8 >= nb) return user_of(chunk);
  const Address user = malloc(thread, size);
  if (user == 0) return 0;
  common_.memory.copy(user, user_of(chunk), old_size - kChunkHeader);
  common_.mapped.release(chunk);
  return user;
}

// The block's own arena has no memory: with threads about, any other will do.
template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::realloc_elsewhere(Thread& thread, Address chunk, std::uint64_t size) {
  const Address user = malloc(thread, size);
  if (user == 0) return 0;
  const std::uint64_t head = headers_.head(chunk);
  common_.memory.copy(user, user_of(chunk), (head & ~kFlagBits) - 8);
  free_chunk(thread.cache.ready ? &thread.cache : nullptr, chunk, head);
  return user;
}

template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::realloc(Thread& thread, Address old, std::uint64_t size) {
  if (old == 0) return malloc(thread, size);
  if (size == 0) {
    free(thread, old);
    return 0;
  }
  const Address chunk = chunk_of_user(old);
  const std::uint64_t nb = chunk_size_for(size), head = headers_.head(chunk);
  const bool mmapped = (head & kMmapped) != 0;
  if (common_.version.realloc_keeps_fitting) {
    const std::uint64_t usable = (head & ~kFlagBits) - (mmapped ? kChunkHeader : 8);
    if (size <= usable && (usable - size < kChunkAlignment || (mmapped && usable - size <= common_.memory.page_size()))) return old;
  }
  if (mmapped) [[unlikely]] return nb == 0 ? 0 : realloc_mapped(thread, chunk, size, nb);
  Tcache* const tcache = cache(thread);
  if (nb == 0) return 0;
  Entry& entry = entry_of(chunk, head);
  if (host_.single_threaded()) return entry.arena.resize(tcache, chunk, head & ~kFlagBits, nb);
  entry.mutex.lock();
  const Address user = entry.arena.resize(tcache, chunk, headers_.size(chunk), nb);
  entry.mutex.unlock();
  return user != 0 ? user : realloc_elsewhere(thread, chunk, size);
}

// The first block of the cache's list that happens to be aligned; its neighbours in the list stay.
template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::take_aligned(Thread& thread, std::uint64_t alignment, std::uint64_t nb) {
  const std::uint64_t slot = Tcache::index(nb);
  return thread.cache.has(slot) ? thread.cache.get_aligned(common_.memory, slot, alignment) : 0;
}

template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::memalign(Thread& thread, std::uint64_t alignment, std::uint64_t size) {
  if (alignment <= kChunkAlignment) return malloc(thread, size);
  if (alignment > std::uint64_t{1} << 63) return 0;  // EINVAL
  alignment = std::bit_ceil(alignment < kMinChunk ? kMinChunk : alignment);
  const std::uint64_t nb = chunk_size_for(size);
  if (common_.version.memalign_takes_cached && nb != 0) {
    if (const Address user = take_aligned(thread, alignment, nb)) return user;
  }
  Tcache* const tcache = thread.cache.ready ? &thread.cache : nullptr;
  return in_arena(
      thread, {size + alignment + kMinChunk, size}, Retry::when_threaded,
      [&](Arena<Memory>& arena) { return arena.allocate_aligned(tcache, alignment, size); },
      [&]() -> Address {
        if (nb == 0 || alignment > kMaxRequest - nb) return 0;
        const Address user = map_only(nb + alignment + kMinChunk);
        return user == 0 ? 0 : arenas_.main().arena.align(tcache, user, alignment, nb);
      });
}

template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::aligned_alloc(Thread& thread, std::uint64_t alignment, std::uint64_t size) {
  if (common_.version.strict_aligned_alloc && !std::has_single_bit(alignment)) return 0;  // EINVAL
  return memalign(thread, alignment, size);
}

// Until 2.41 it rounds up to whole pages with a mask that keeps bit 0: pvalloc(100) asks for 4097 bytes.
template <MemoryProvider Memory, class Host>
Address Allocator<Memory, Host>::pvalloc(Thread& thread, std::uint64_t size) {
  const std::uint64_t page = common_.memory.page_size();
  std::uint64_t rounded = 0;
  if (__builtin_add_overflow(size, page - 1, &rounded)) return 0;
  return memalign(thread, page, rounded & (0 - (common_.version.pvalloc_adds_a_byte ? page - 1 : page)));
}

template <MemoryProvider Memory, class Host>
int Allocator<Memory, Host>::mallopt(int parameter, int value) {
  Entry& main = arenas_.main();
  main.mutex.lock();
  main.arena.consolidate();  // whatever the parameter
  const int done = common_.settings.mallopt(parameter, value);
  main.mutex.unlock();
  return done;
}

template <MemoryProvider Memory, class Host>
int Allocator<Memory, Host>::malloc_trim(std::uint64_t pad) {
  bool gave = false;
  ArenaId id = kMainArena;
  do {
    Entry& entry = arenas_.at(id);
    entry.mutex.lock();
    gave |= entry.arena.trim(pad);
    entry.mutex.unlock();
    id = arenas_.next(id);
  } while (id != kMainArena);
  return gave ? 1 : 0;
}

template <MemoryProvider Memory, class Host>
std::uint64_t Allocator<Memory, Host>::usable_size(Address user) const {
  const std::uint64_t head = headers_.head(chunk_of_user(user)), size = head & ~kFlagBits;
  return (head & kMmapped) != 0 ? size - kChunkHeader : size - 8;  // in a heap the next chunk's prev_size word is ours
}

template <MemoryProvider Memory, class Host>
void Allocator<Memory, Host>::thread_exit(Thread& thread) {
  thread.ending = true;
  if (thread.cache.ready) {
    thread.cache.ready = false;
    for (unsigned i = 0; i < kTcacheBins; ++i) {
      while (thread.cache.count(i) > 0) {
        const Address chunk = chunk_of_user(thread.cache.get(common_.memory, i));
        free_chunk(nullptr, chunk, headers_.head(chunk));
      }
    }
    const Address chunk = chunk_of_user(thread.cache.structure);
    const std::uint64_t head = headers_.head(chunk);
    if ((head & kMmapped) != 0) release_mapped(chunk);
    else free_chunk(nullptr, chunk, head);
  }
  arenas_.thread_exit(thread.arena);
}

}  // namespace faultline::heap
