// Heap: looking at it from outside, and the rules its structure obeys.
#pragma once

#include <algorithm>
#include <type_traits>
#include <vector>

#include "heap/heap.h"

namespace faultline::heap {

template <MemoryProvider Memory>
bool Heap<Memory>::owns(Address user) const {
  const Address chunk = chunk_of_user(user);
  if (user < kChunkHeader || user % kChunkAlignment != 0) return false;
  const ThreadHeaps<Memory>& heaps = allocator_.common().heaps;
  Address end = 0;
  if (const Segment* segment = arena(kMainArena).segments().find(chunk)) end = segment->end;
  else if (const Address base = heaps.base_of(chunk); heaps.is_heap(base)) end = base + heaps.open_bytes(base);
  if (end == 0 || chunk >= end) return allocator_.common().mapped.contains(chunk);
  const std::uint64_t size = headers_.size(chunk);
  if (size < kMinChunk || size % kChunkAlignment != 0 || size >= end - chunk) return false;
  return headers_.prev_in_use(chunk + size);  // top reaches the end
}

template <MemoryProvider Memory>
ArenaId Heap<Memory>::arena_holding(Address user) const {
  const ThreadHeaps<Memory>& heaps = allocator_.common().heaps;
  if (const Address base = heaps.base_of(user); heaps.is_heap(base)) return heaps.arena(base);
  return arena(kMainArena).segments().find(user) != nullptr ? kMainArena : kNoArena;
}

template <MemoryProvider Memory>
ChunkInfo Heap<Memory>::chunk_of(Address user) const {
  const Address chunk = chunk_of_user(user);
  const std::uint64_t head = headers_.head(chunk), size = head & ~kFlagBits;
  if ((head & kMmapped) == 0) return {chunk, size, false};
  FL_ASSERT(allocator_.common().mapped.contains(chunk));
  const std::uint64_t offset = headers_.prev_size(chunk);
  return {chunk - offset, size + offset, true};
}

template <MemoryProvider Memory>
HeapState Heap<Memory>::state(ArenaId id) const {
  const Arena<Memory>& of = arena(id);
  const Common<Memory>& common = allocator_.common();
  HeapState s;
  s.heap_start = of.heap_start();
  s.top = of.top();
  s.top_size = of.top_size();
  s.brk = of.is_main() ? of.segments().current().end : s.top + s.top_size;
  s.system_mem = of.system_mem();
  s.max_system_mem = of.max_system_mem();
  s.mmapped_bytes = common.mapped.bytes();
  s.n_mmaps = static_cast<std::uint64_t>(common.mapped.count());
  s.mmap_threshold = common.settings.mmap_threshold;
  s.trim_threshold = common.settings.trim_threshold;
  s.top_pad = common.settings.top_pad;
  return s;
}

// Every chunk that some free list holds or malloc keeps for itself. A chunk on two lists, or a list that runs in circles, is asserted against.
template <MemoryProvider Memory>
ChunkUses Heap<Memory>::uses() const {
  ChunkUses found;
  const auto add = [&found](Address chunk, ChunkUse use) { FL_ASSERT(found.emplace(chunk, use).second); };
  for (const auto& [id, thread] : threads_) {
    if (thread->cache.ready) add(chunk_of_user(thread->cache.structure), ChunkUse::own);
    for (unsigned i = 0; i < kTcacheBins; ++i) {
      unsigned length = 0;
      for (Address user = thread->cache.head(i); user != 0; user = memory_.load_word(user)) {
        add(chunk_of_user(user), ChunkUse::tcache);
        ++length;
      }
      FL_ASSERT(length == thread->cache.count(i));
    }
  }
  for (ArenaId id = 0; id < arena_count(); ++id) {
    const Fastbins<Memory>& fast = arena(id).fastbins();
    for (unsigned i = 0; i < Fastbins<Memory>::kCount; ++i) {
      for (Address chunk = fast.head(i); chunk != 0; chunk = fast.next(chunk)) {
        FL_ASSERT(Fastbins<Memory>::index(headers_.size(chunk)) == i && fast.maybe_nonempty);
        add(chunk, ChunkUse::fastbin);
      }
    }
    const Bins<Memory>& bins = arena(id).bins();
    for (unsigned i = kUnsortedBin; i < kBinCount; ++i) {
      for (Address chunk = bins.first(i); !bins.is_token(chunk); chunk = bins.fd(chunk)) {
        FL_ASSERT(bins.bk(bins.fd(chunk)) == chunk && bins.fd(bins.bk(chunk)) == chunk);
        add(chunk, ChunkUse::bin);
      }
    }
  }
  return found;
}

// The chunks of one piece of memory, up to its end or to the mark of size 0 that closes a full heap.
template <MemoryProvider Memory>
template <class F>
void Heap<Memory>::walk(Address from, Address end, const ChunkUses& free, Address top, F f) const {
  for (Address chunk = from; chunk < end;) {
    const std::uint64_t size = headers_.size(chunk);
    if (size == 0) {
      FL_ASSERT(end - chunk < kMinChunk);
      f(chunk, end - chunk, ChunkUse::fence);
      return;
    }
    FL_ASSERT(size >= kChunkHeader && size % kChunkAlignment == 0 && size <= end - chunk);
    ChunkUse use = ChunkUse::live;
    const std::uint64_t above = chunk + size < end && chunk != top ? headers_.size(chunk + size) : size;
    if (chunk == top) use = ChunkUse::top;
    else if (size == kChunkHeader || above == 0) use = ChunkUse::fence;
    else if (const auto at = free.find(chunk); at != free.end()) use = at->second;
    f(chunk, size, use);
    chunk += size;
  }
}

template <MemoryProvider Memory>
template <class F>
void Heap<Memory>::for_each_chunk(F f) const {
  const ChunkUses free = uses();
  const auto give = [&f](ArenaId id) {
    return [&f, id](Address chunk, std::uint64_t size, ChunkUse use) {
      (void)id;  // not every f asks for the arena
      if constexpr (std::is_invocable_v<F&, Address, std::uint64_t, ChunkUse, ArenaId>) f(chunk, size, use, id);
      else f(chunk, size, use);
    };
  };
  for (const HeapPiece& piece : pieces()) walk(piece.first, piece.end, free, arena(piece.arena).top(), give(piece.arena));
}

template <MemoryProvider Memory>
std::vector<HeapPiece> Heap<Memory>::pieces() const {
  std::vector<HeapPiece> found;
  for (const Segment& segment : arena(kMainArena).segments().low_to_high())
    found.push_back({kMainArena, segment.start, segment.start, segment.end, 0});
  const ThreadHeaps<Memory>& heaps = allocator_.common().heaps;
  std::vector<Address> bases(heaps.bases().begin(), heaps.bases().end());
  std::sort(bases.begin(), bases.end());
  for (const Address base : bases) {
    const Address before = heaps.before(base);
    const Address first = align_up(base + heaps.header_bytes() + (before == 0 ? kArenaStateBytes : 0), kChunkAlignment);
    found.push_back({heaps.arena(base), base, first, base + heaps.open_bytes(base), before});
  }
  return found;
}

template <MemoryProvider Memory>
void Heap<Memory>::check_invariants() const {
  std::size_t on_lists = 0, in_heaps = 0;
  for (const auto& [chunk, use] : uses()) on_lists += (headers_.head(chunk) & kMmapped) == 0 ? 1U : 0U;
  Address expected = 0;
  bool below_is_binned = false;
  std::uint64_t below_size = 0;
  std::vector<Address> tops(arena_count());
  for_each_chunk([&](Address chunk, std::uint64_t size, ChunkUse use, ArenaId id) {
    if (chunk != expected) below_is_binned = false;  // a new piece of memory
    FL_ASSERT(headers_.prev_in_use(chunk) == !below_is_binned);
    if (below_is_binned) {
      FL_ASSERT(headers_.prev_size(chunk) == below_size);
      FL_ASSERT(use != ChunkUse::bin && use != ChunkUse::top);  // free neighbours are merged
    }
    if (use == ChunkUse::top) tops[id] = chunk;
    if (use != ChunkUse::live && use != ChunkUse::fence && use != ChunkUse::top) ++in_heaps;
    if (use == ChunkUse::live || use == ChunkUse::own) FL_ASSERT(((headers_.head(chunk) & kNonMain) != 0) == (id != kMainArena));
    below_is_binned = use == ChunkUse::bin;
    below_size = size;
    expected = chunk + size;
  });
  FL_ASSERT(on_lists == in_heaps);
  std::vector<std::uint64_t> system_mem(arena_count());
  const ThreadHeaps<Memory>& heaps = allocator_.common().heaps;
  for (const Address base : heaps.bases()) system_mem[heaps.arena(base)] += heaps.open_bytes(base);
  for (ArenaId id = 0; id < arena_count(); ++id) {
    FL_ASSERT(tops[id] == arena(id).top());
    FL_ASSERT(id == kMainArena || system_mem[id] == arena(id).system_mem());
    check_arena(arena(id));
    check_bins(arena(id));
  }
  std::uint64_t mapped_bytes = 0;
  const MappedChunks<Memory>& mapped = allocator_.common().mapped;
  for (const Address chunk : mapped.chunks()) {
    FL_ASSERT((headers_.head(chunk) & kMmapped) != 0);
    mapped_bytes += headers_.size(chunk) + headers_.prev_size(chunk);
  }
  FL_ASSERT(mapped_bytes == mapped.bytes());
  FL_ASSERT(mapped.chunks().size() == static_cast<std::size_t>(mapped.count()));
}

template <MemoryProvider Memory>
void Heap<Memory>::check_arena(const Arena<Memory>& arena) const {
  if (arena.top() == 0) return;
  const ThreadHeaps<Memory>& heaps = allocator_.common().heaps;
  const Address base = heaps.base_of(arena.top());
  const Address end = arena.is_main() ? arena.segments().current().end : base + heaps.open_bytes(base);
  FL_ASSERT(arena.top() + arena.top_size() == end);
  FL_ASSERT(arena.system_mem() <= arena.max_system_mem() || arena.top_size() > 0);
}

// Small bins hold one size; large bins descend, and the ring of size classes visits the first chunk of each size.
template <MemoryProvider Memory>
void Heap<Memory>::check_bins(const Arena<Memory>& arena) const {
  const Bins<Memory>& bins = arena.bins();
  for (unsigned i = kUnsortedBin + 1; i < kBinCount; ++i) {
    std::uint64_t previous = 0;
    Address previous_class = 0;
    for (Address chunk = bins.first(i); !bins.is_token(chunk); chunk = bins.fd(chunk)) {
      const std::uint64_t size = headers_.size(chunk);
      FL_ASSERT(bin_index(size) == i && (previous == 0 || size <= previous));
      if (!is_small(size)) {
        FL_ASSERT((bins.next_size(chunk) != 0) == (size != previous));
        if (size != previous) {
          FL_ASSERT(previous_class == 0 || bins.next_size(previous_class) == chunk);
          FL_ASSERT(previous_class == 0 || bins.prev_size_class(chunk) == previous_class);
          previous_class = chunk;
        }
      }
      previous = size;
    }
    if (previous_class != 0) FL_ASSERT(bins.next_size(previous_class) == bins.first(i));
  }
}

}  // namespace faultline::heap
