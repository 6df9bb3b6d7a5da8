// Per-thread cache: 64 LIFO lists of user blocks by chunk size. glibc keeps the lists' heads in a 640-byte block in the
// thread's arena; here they are in this object, and that block is only an address.
#pragma once

#include <array>
#include <unordered_map>

#include "base/assert.h"
#include "heap/chunk.h"

namespace faultline::heap {

inline constexpr unsigned kTcacheBins = 64;
inline constexpr std::uint64_t kTcacheStruct = 640;

class Tcache {
 public:
  static constexpr std::uint64_t index(std::uint64_t chunk_size) { return (chunk_size - kMinChunk) / kChunkAlignment; }

  bool ready = false;     // the struct exists: the thread made a malloc, calloc, realloc or free
  Address structure = 0;  // user address of the struct; 0 when it is in an arena that is not modelled

  std::uint16_t count(std::uint64_t i) const { return counts_[i]; }
  Address head(std::uint64_t i) const { return heads_[i]; }

  template <MemoryProvider Memory>
  void put(Memory& memory, Address user, std::uint64_t i) {
    memory.store_word(user + 8, kKey);
    memory.store_word(user, heads_[i]);
    heads_[i] = user;
    ++counts_[i];
  }

  template <MemoryProvider Memory>
  Address get(Memory& memory, std::uint64_t i) {
    const Address user = heads_[i];
    FL_ASSERT(user != 0 && counts_[i] > 0);
    --counts_[i];
    if (!foreign_.empty() && foreign_.contains(user)) [[unlikely]] {
      heads_[i] = foreign_next(user);
      return user;
    }
    heads_[i] = memory.load_word(user);
    memory.store_word(user + 8, 0);
    return user;
  }

  // Blocks of arenas that are not modelled: their memory is never touched, their links are kept here.
  void put_foreign(Address user, std::uint64_t i) {
    foreign_[user] = heads_[i];
    heads_[i] = user;
    ++counts_[i];
  }
  bool holds_foreign(Address user) const { return foreign_.contains(user); }

  // glibc reads the key word on every free. True if the block is in the list already (a double free).
  template <MemoryProvider Memory>
  bool holds(Memory& memory, Address user, std::uint64_t i) const {
    if (memory.load_word(user + 8) != kKey) [[likely]] return false;
    for (Address at = heads_[i]; at != 0; at = next(memory, at)) {
      if (at == user) return true;
    }
    return false;
  }

  template <MemoryProvider Memory>
  Address next(Memory& memory, Address user) const {
    const auto foreign = foreign_.find(user);
    return foreign != foreign_.end() ? foreign->second : memory.load_word(user);
  }

 private:
  static constexpr std::uint64_t kKey = 0x7463616368656b79;

  Address foreign_next(Address user) {
    const auto at = foreign_.find(user);
    const Address next = at->second;
    foreign_.erase(at);
    return next;
  }

  std::array<std::uint16_t, kTcacheBins> counts_{};
  std::array<Address, kTcacheBins> heads_{};
  std::unordered_map<Address, Address> foreign_;
};

}  // namespace faultline::heap
