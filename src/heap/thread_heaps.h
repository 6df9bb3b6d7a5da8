// The heaps of thread arenas: aligned pieces of 64 MiB that are reserved whole and opened from the low end. glibc
// malloc/arena.c: heap_info, new_heap, grow_heap, shrink_heap, delete_heap.
//
//   base ->  +0   the arena the heap belongs to (its number + 1; glibc has its address)
//            +8   the heap before it in the same arena, 0 for the first
//            +16  bytes open, and in use by the arena
//            +24  bytes ever made accessible: growing below needs no mprotect
//            +32  page size of the heap (2.35); then the arena's own state in the first heap, then chunks
#pragma once

#include <atomic>
#include <unordered_set>

#include "heap/chunk_book.h"
#include "heap/chunk_headers.h"
#include "heap/outcome_box.h"
#include "heap/settings.h"

namespace faultline::heap {

using ArenaId = std::uint32_t;
inline constexpr ArenaId kMainArena = 0;
inline constexpr ArenaId kNoArena = ~ArenaId{0};
inline constexpr std::uint64_t kThreadHeapBytes = std::uint64_t{64} << 20;
inline constexpr std::uint64_t kThreadHeapLeast = 32 * 1024;
inline constexpr std::uint64_t kArenaStateBytes = 0x898;  // sizeof(struct malloc_state)

template <MemoryProvider Memory>
class ThreadHeaps {
 public:
  ThreadHeaps(Memory& memory, const Settings& settings, const Version& version)
      : memory_(memory), settings_(settings), header_(version.heap_info_keeps_page ? 0x30 : 0x20) {}
  ThreadHeaps(Memory& memory, const Settings& settings, const ThreadHeaps& parent)
      : memory_(memory), settings_(settings), header_(parent.header_), bases_(parent.bases_),
        hint_(parent.hint_.load(std::memory_order_relaxed)) {}

  void assign(const ThreadHeaps& saved) {  // of the same memory
    bases_ = saved.bases_;
    hint_ = saved.hint_.load(std::memory_order_relaxed);
  }

  std::uint64_t header_bytes() const { return header_; }
  // All heaps have one size: four huge pages where those are used explicitly.
  std::uint64_t heap_bytes() const {
    return settings_.explicit_huge_page != 0 ? 4 * settings_.explicit_huge_page : kThreadHeapBytes;
  }
  Address base_of(Address address) const { return align_down(address, heap_bytes()); }

  ArenaId arena(Address base) const { return static_cast<ArenaId>(memory_.load_word(base) - 1); }
  Address before(Address base) const { return memory_.load_word(base + 8); }
  std::uint64_t open_bytes(Address base) const { return memory_.load_word(base + 16); }
  std::uint64_t accessible_bytes(Address base) const { return memory_.load_word(base + 24); }
  std::uint64_t page_size(Address base) const { return header_ > 0x20 ? memory_.load_word(base + 32) : memory_.page_size(); }
  void set_before(Address base, Address before) { memory_.store_word(base + 8, before); }

  bool is_heap(Address base) const { return bases_.contains(base); }  // models only
  const std::unordered_set<Address>& bases() const { return bases_.chunks(); }

  // A new heap with size + top_pad bytes open, as far as that fits; its base, or 0.
  Address open(ArenaId arena, std::uint64_t size) {
    if (const std::uint64_t huge = settings_.explicit_huge_page) {
      if (const Address base = open_in_pages(arena, size, huge, true)) return base;
    }
    return open_in_pages(arena, size, memory_.page_size(), false);
  }

  // Opens at least `by` bytes more; false when the heap is full or the kernel refuses.
  bool grow(Address base, std::uint64_t by) {
    const std::uint64_t open = open_bytes(base), accessible = accessible_bytes(base);
    const std::uint64_t wanted = open + align_up(by, page_size(base));
    if (wanted > heap_bytes()) return false;
    if (wanted > accessible) {
      if (!memory_.protect(base + accessible, wanted - accessible, Protection::read_write)) return false;
      memory_.store_word(base + 24, wanted);
    }
    memory_.store_word(base + 16, wanted);
    return true;
  }

  // Gives the last `by` bytes, whole pages, back to the kernel.
  bool shrink(Address base, std::uint64_t by) {
    const std::uint64_t wanted = open_bytes(base) - by;
    if (wanted < header_) return false;
    if (settings_.strict_overcommit) {  // only unmapping gives the commit charge back
      if (memory_.map({.length = by, .protection = Protection::none, .hint = base + wanted, .fixed = true}) == kFailed) return false;
      memory_.store_word(base + 24, wanted);
    } else {
      memory_.advise(base + wanted, by, Advice::dont_need);
    }
    memory_.store_word(base + 16, wanted);
    return true;
  }

  void close(Address base) {
    if (base + heap_bytes() == hint_.load(std::memory_order_relaxed)) hint_.store(0, std::memory_order_relaxed);
    bases_.remove(base);
    memory_.unmap(base, heap_bytes());
  }

 private:
  Address open_in_pages(ArenaId arena, std::uint64_t size, std::uint64_t page, bool explicitly) {
    const std::uint64_t whole = heap_bytes();
    const std::uint64_t least = settings_.explicit_huge_page != 0 ? settings_.explicit_huge_page : kThreadHeapLeast;
    note_in_box<Memory>(settings_, [&](OutcomeBox& box) { box.top_padded(settings_); });
    if (size + settings_.top_pad < least) size = least;
    else if (size + settings_.top_pad <= whole) size += settings_.top_pad;
    else if (size > whole) return 0;
    else size = whole;
    size = align_up(size, page);
    const Address base = reserve(whole, explicitly ? page : 0);
    if (base == 0) return 0;
    if (!memory_.protect(base, size, Protection::read_write)) {
      memory_.unmap(base, whole);
      return 0;
    }
    if (settings_.huge_page != 0 && size >= settings_.huge_page) memory_.advise(base, size, Advice::huge_page);
    bases_.add(base);
    memory_.store_word(base, Address{arena} + 1);
    memory_.store_word(base + 8, 0);
    memory_.store_word(base + 16, size);
    memory_.store_word(base + 24, size);
    if (header_ > 0x20) memory_.store_word(base + 32, page);
    return base;
  }

  // An aligned piece of address space. Twice the size holds one; if the lower half is aligned already, the upper one is
  // where the next heap goes.
  Address reserve(std::uint64_t whole, std::uint64_t huge_page) {
    MapRequest request{.length = whole, .protection = Protection::none, .huge_page = huge_page};
    if (const Address hint = hint_.exchange(0, std::memory_order_relaxed); hint != 0) {
      request.hint = hint;
      const Address at = memory_.map(request);
      request.hint = 0;
      if (at != kFailed && at % whole == 0) return at;
      if (at != kFailed) memory_.unmap(at, whole);
    }
    request.length = 2 * whole;
    const Address low = memory_.map(request);
    if (low != kFailed) {
      const Address base = align_up(low, whole);
      if (base != low) memory_.unmap(low, base - low);
      else hint_.store(base + whole, std::memory_order_relaxed);
      memory_.unmap(base + whole, whole - (base - low));
      return base;
    }
    request.length = whole;  // perhaps that happens to be aligned
    const Address at = memory_.map(request);
    if (at == kFailed) return 0;
    if (at % whole == 0) return at;
    memory_.unmap(at, whole);
    return 0;
  }

  Memory& memory_;
  const Settings& settings_;
  const std::uint64_t header_;
  ChunkBook<!trusts_headers<Memory>> bases_;
  std::atomic<Address> hint_ = 0;
};

}  // namespace faultline::heap
