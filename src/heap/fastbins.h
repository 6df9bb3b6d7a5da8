// Fastbins: ten LIFO lists of small chunks that are free but not merged: their neighbours see them as in use.
// The next pointer is in the chunk's fd word (glibc mangles it; its value is never observable).
#pragma once

#include <array>

#include "heap/chunk.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class Fastbins {
 public:
  static constexpr unsigned kCount = 10;  // chunk sizes 32, 48, ... 176

  explicit Fastbins(Memory& memory) : memory_(memory) {}
  Fastbins(Memory& memory, const Fastbins& parent)
      : maybe_nonempty(parent.maybe_nonempty), memory_(memory), heads_(parent.heads_) {}

  void assign(const Fastbins& saved) {  // of the same memory
    heads_ = saved.heads_;
    maybe_nonempty = saved.maybe_nonempty;
  }

  static constexpr unsigned index(std::uint64_t chunk_size) { return static_cast<unsigned>(chunk_size >> 4) - 2; }
  Address head(unsigned i) const { return heads_[i]; }
  Address next(Address chunk) const { return memory_.load_word(chunk + 16); }

  void push(Address chunk, unsigned i) {
    memory_.store_word(chunk + 16, heads_[i]);
    heads_[i] = chunk;
    maybe_nonempty = true;
  }
  Address pop(unsigned i) {
    const Address chunk = heads_[i];
    if (chunk != 0) heads_[i] = next(chunk);
    return chunk;
  }
  Address take_all(unsigned i) {
    const Address chunk = heads_[i];
    heads_[i] = 0;
    return chunk;
  }

  bool maybe_nonempty = false;  // glibc's have_fastchunks: set by a push, cleared only by a consolidation

 private:
  Memory& memory_;
  std::array<Address, kCount> heads_{};
};

}  // namespace faultline::heap
