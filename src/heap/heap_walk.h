// Heap: looking at it from outside, and the rules its structure obeys.
#pragma once

#include "heap/heap.h"

namespace faultline::heap {

template <MemoryProvider Memory>
bool Heap<Memory>::owns(Address user) const {
  const Address chunk = chunk_of_user(user);
  if (user < kChunkHeader || user % kChunkAlignment != 0) return false;
  const Segment* segment = arena_.segments().find(chunk);
  if (segment == nullptr) return arena_.mapped().contains(chunk);
  const std::uint64_t size = headers_.size(chunk);
  if (size < kMinChunk || size % kChunkAlignment != 0 || size >= segment->end - chunk) return false;
  return chunk != arena_.top() && headers_.prev_in_use(chunk + size);
}

template <MemoryProvider Memory>
ChunkInfo Heap<Memory>::chunk_of(Address user) const {
  const Address chunk = chunk_of_user(user);
  const std::uint64_t size = headers_.size(chunk);
  if (arena_.segments().find(chunk) != nullptr) return {chunk, size, false};
  FL_ASSERT(arena_.mapped().contains(chunk));
  const std::uint64_t offset = headers_.prev_size(chunk);
  return {chunk - offset, size + offset, true};
}

template <MemoryProvider Memory>
std::uint64_t Heap<Memory>::usable_size(Address user) const {
  const Address chunk = chunk_of_user(user);
  const std::uint64_t size = headers_.size(chunk);
  if (arena_.segments().find(chunk) != nullptr) return size - 8;  // the next chunk's prev_size word is ours
  FL_ASSERT(arena_.mapped().contains(chunk));
  return size - kChunkHeader;
}

template <MemoryProvider Memory>
HeapState Heap<Memory>::state() const {
  HeapState s;
  s.heap_start = arena_.heap_start();
  s.brk = arena_.segments().current().end;
  s.top = arena_.top();
  s.top_size = arena_.top_size();
  s.system_mem = arena_.system_mem();
  s.max_system_mem = arena_.max_system_mem();
  s.mmapped_bytes = arena_.mapped().bytes();
  s.n_mmaps = static_cast<std::uint64_t>(arena_.mapped().count());
  s.mmap_threshold = settings_.mmap_threshold;
  s.trim_threshold = settings_.trim_threshold;
  s.top_pad = settings_.top_pad;
  return s;
}

// Every chunk that some free list holds. A chunk on two lists, or a list that runs in circles, is asserted against.
template <MemoryProvider Memory>
ChunkUses Heap<Memory>::uses() const {
  ChunkUses found;
  const auto add = [&found](Address chunk, ChunkUse use) { FL_ASSERT(found.emplace(chunk, use).second); };
  for (const auto& [thread, cache] : caches_) {
    for (unsigned i = 0; i < kTcacheBins; ++i) {
      unsigned length = 0;
      for (Address user = cache->head(i); user != 0; user = cache->next(memory_, user)) {
        add(chunk_of_user(user), ChunkUse::tcache);
        ++length;
      }
      FL_ASSERT(length == cache->count(i));
    }
  }
  const Fastbins<Memory>& fast = arena_.fastbins();
  for (unsigned i = 0; i < Fastbins<Memory>::kCount; ++i) {
    for (Address chunk = fast.head(i); chunk != 0; chunk = fast.next(chunk)) {
      FL_ASSERT(Fastbins<Memory>::index(headers_.size(chunk)) == i && fast.maybe_nonempty);
      add(chunk, ChunkUse::fastbin);
    }
  }
  const Bins<Memory>& bins = arena_.bins();
  for (unsigned i = kUnsortedBin; i < kBinCount; ++i) {
    for (Address chunk = bins.first(i); !Bins<Memory>::is_token(chunk); chunk = bins.fd(chunk)) {
      FL_ASSERT(bins.bk(bins.fd(chunk)) == chunk && bins.fd(bins.bk(chunk)) == chunk);
      add(chunk, ChunkUse::bin);
    }
  }
  return found;
}

template <MemoryProvider Memory>
template <class F>
void Heap<Memory>::for_each_chunk(F f) const {
  const ChunkUses free = uses();
  for (const Segment& segment : arena_.segments().low_to_high()) {
    for (Address chunk = segment.start; chunk < segment.end;) {
      const std::uint64_t size = headers_.size(chunk);
      FL_ASSERT(size >= kChunkHeader && size % kChunkAlignment == 0 && size <= segment.end - chunk);
      ChunkUse use = ChunkUse::live;
      if (chunk == arena_.top()) use = ChunkUse::top;
      else if (size == kChunkHeader) use = ChunkUse::fence;
      else if (const auto at = free.find(chunk); at != free.end()) use = at->second;
      f(chunk, size, use);
      chunk += size;
    }
  }
}

template <MemoryProvider Memory>
void Heap<Memory>::check_invariants() const {
  std::size_t on_lists = 0, in_heap = 0;
  for (const auto& [chunk, use] : uses()) on_lists += arena_.segments().find(chunk) != nullptr ? 1U : 0U;
  Address expected = 0, top = 0;
  bool below_is_binned = false;
  std::uint64_t below_size = 0;
  for_each_chunk([&](Address chunk, std::uint64_t size, ChunkUse use) {
    if (chunk != expected) below_is_binned = false;  // a new segment
    FL_ASSERT(headers_.prev_in_use(chunk) == !below_is_binned);
    if (below_is_binned) {
      FL_ASSERT(headers_.prev_size(chunk) == below_size);
      FL_ASSERT(use != ChunkUse::bin && use != ChunkUse::top);  // free neighbours are merged
    }
    if (use == ChunkUse::top) top = chunk;
    if (use != ChunkUse::live && use != ChunkUse::fence && use != ChunkUse::top) ++in_heap;
    below_is_binned = use == ChunkUse::bin;
    below_size = size;
    expected = chunk + size;
  });
  FL_ASSERT(on_lists == in_heap && top == arena_.top());
  FL_ASSERT(arena_.top() == 0 || arena_.top() + arena_.top_size() == arena_.segments().current().end);
  FL_ASSERT(arena_.system_mem() <= arena_.max_system_mem() || arena_.top_size() > 0);
  check_bins();
  std::uint64_t mapped_bytes = 0;
  for (const Address chunk : arena_.mapped().chunks()) {
    FL_ASSERT((headers_.head(chunk) & kMmapped) != 0);
    mapped_bytes += headers_.size(chunk) + headers_.prev_size(chunk);
  }
  FL_ASSERT(mapped_bytes == arena_.mapped().bytes());
  FL_ASSERT(arena_.mapped().chunks().size() == static_cast<std::size_t>(arena_.mapped().count()));
}

// Small bins hold one size; large bins descend, and the ring of size classes visits the first chunk of each size.
template <MemoryProvider Memory>
void Heap<Memory>::check_bins() const {
  const Bins<Memory>& bins = arena_.bins();
  for (unsigned i = kUnsortedBin + 1; i < kBinCount; ++i) {
    std::uint64_t previous = 0;
    Address previous_class = 0;
    for (Address chunk = bins.first(i); !Bins<Memory>::is_token(chunk); chunk = bins.fd(chunk)) {
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
