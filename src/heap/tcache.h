// Per-thread cache: 64 LIFO lists of user blocks by chunk size. glibc keeps the lists' heads in a 640-byte block in the
// thread's arena; here they are in this object, and that block is only an address.
#pragma once

#include <array>

#include "base/assert.h"
#include "heap/chunk.h"
#include "heap/look_ahead.h"
#include "heap/outcome_box.h"
#include "heap/settings.h"

namespace faultline::heap {

inline constexpr unsigned kTcacheBins = 64;
inline constexpr std::uint64_t kTcacheStruct = 640;

class Tcache {
 public:
  static constexpr std::uint64_t index(std::uint64_t chunk_size) { return (chunk_size - kMinChunk) / kChunkAlignment; }

  bool ready = false;     // the struct exists: the thread made a malloc, calloc, realloc or free
  Address structure = 0;  // user address of the struct

  std::uint16_t count(std::uint64_t i) const { return counts_[i]; }
  Address head(std::uint64_t i) const { return heads_[i]; }
  bool has(std::uint64_t i) const { return i < kTcacheBins && counts_[i] > 0; }  // any i

  template <MemoryProvider Memory>
  void put(Memory& memory, Address user, std::uint64_t i) {
    memory.store_word(user + 8, kCacheKey);
    memory.store_word(user, heads_[i]);
    heads_[i] = user;
    ++counts_[i];
  }

  // A freed block of this chunk size; false if it has no place here.
  template <MemoryProvider Memory>
  bool take_back(Memory& memory, const Settings& settings, Address user, std::uint64_t chunk_size) {
    const std::uint64_t i = index(chunk_size);
    if (i >= settings.tcache_bins) {
      note_no_list<Memory>(settings, i);
      return false;
    }
    FL_ASSERT(!holds(memory, user, i));
    if (counts_[i] >= settings.tcache_count) {
      note_full<Memory>(settings);
      return false;
    }
    put(memory, user, i);
    return true;
  }

  // For the box of settings with the same outcome: where the cache had no place.
  template <MemoryProvider Memory>
  static void note_no_list(const Settings& settings, std::uint64_t i) {
    if (i >= settings.tcache_bins && i < kTcacheBins) note_in_box<Memory>(settings, [&](OutcomeBox& box) { box.no_cache_list(i); });
  }
  template <MemoryProvider Memory>
  static void note_full(const Settings& settings) {
    note_in_box<Memory>(settings, [&](OutcomeBox& box) { box.cache_list_full(settings); });
  }

  template <MemoryProvider Memory>
  Address get(Memory& memory, std::uint64_t i) {
    const Address user = heads_[i];
    FL_ASSERT(user != 0 && counts_[i] > 0);
    --counts_[i];
    heads_[i] = memory.load_word(user);
    prefetch(memory, heads_[i]);
    memory.store_word(user + 8, 0);
    return user;
  }

  // The first block of the list at an aligned address, out of the middle if need be; 0 if there is none.
  template <MemoryProvider Memory>
  Address get_aligned(Memory& memory, std::uint64_t i, std::uint64_t alignment) {
    Address before = 0;
    for (Address user = heads_[i]; user != 0; before = user, user = memory.load_word(user)) {
      if (user % alignment != 0) continue;
      const Address after = memory.load_word(user);
      if (before == 0) heads_[i] = after;
      else memory.store_word(before, after);
      --counts_[i];
      memory.store_word(user + 8, 0);
      return user;
    }
    return 0;
  }

  // glibc reads the key word on every free. True if the block is in the list already (a double free).
  template <MemoryProvider Memory>
  bool holds(Memory& memory, Address user, std::uint64_t i) const {
    if (memory.load_word(user + 8) != kCacheKey) [[likely]] return false;
    for (Address at = heads_[i]; at != 0; at = memory.load_word(at)) {
      if (at == user) return true;
    }
    return false;
  }

 private:
  std::array<std::uint16_t, kTcacheBins> counts_{};
  std::array<Address, kTcacheBins> heads_{};
};

}  // namespace faultline::heap
