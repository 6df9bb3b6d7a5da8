// Fastbins: ten LIFO lists of small chunks that are free but not merged: their neighbours see them as in use.
// The next pointer is in the chunk's fd word (glibc mangles it; its value is never observable).
#pragma once

#include <array>
#include <utility>
#include <vector>

#include "heap/look_ahead.h"

namespace faultline::heap {

// The chunks of one list, the head last, where the memory can make use of knowing more of them than the next: a chain leads all over
// far memory, and without that a consolidation waits for every link.
template <bool kept>
class FastbinOrder {
 public:
  void push(Address chunk) { chunks_.push_back(chunk); }
  void pop() { chunks_.pop_back(); }
  void clear() { chunks_.clear(); }
  Address below_head(std::size_t links) const { return links < chunks_.size() ? chunks_[chunks_.size() - 1 - links] : 0; }
  bool is_long() const { return chunks_.size() >= kLong; }  // else its chunks are near each other, as a rule

 private:
  static constexpr std::size_t kLong = 128;
  std::vector<Address> chunks_;
};

template <>
class FastbinOrder<false> {
 public:
  void push(Address) {}
  void pop() {}
  void clear() {}
  Address below_head(std::size_t) const { return 0; }
  bool is_long() const { return false; }
};

template <MemoryProvider Memory>
class Fastbins {
 public:
  static constexpr unsigned kCount = 10;  // chunk sizes 32, 48, ... 176

  explicit Fastbins(Memory& memory) : memory_(memory) {}
  Fastbins(Memory& memory, const Fastbins& parent)
      : maybe_nonempty(parent.maybe_nonempty), memory_(memory), heads_(parent.heads_), orders_(parent.orders_) {}

  void assign(const Fastbins& saved) {  // of the same memory
    heads_ = saved.heads_;
    orders_ = saved.orders_;
    maybe_nonempty = saved.maybe_nonempty;
  }

  static constexpr unsigned index(std::uint64_t chunk_size) { return static_cast<unsigned>(chunk_size >> 4) - 2; }
  Address head(unsigned i) const { return heads_[i]; }
  Address next(Address chunk) const { return memory_.load_word(chunk + 16); }

  void push(Address chunk, unsigned i) {
    memory_.store_word(chunk + 16, heads_[i]);
    heads_[i] = chunk;
    orders_[i].push(chunk);
    maybe_nonempty = true;
  }
  Address pop(unsigned i) {
    const Address chunk = heads_[i];
    if (chunk != 0) {
      heads_[i] = next(chunk);
      orders_[i].pop();
      prefetch(memory_, heads_[i] + 16);  // of a short list
      prefetch(memory_, orders_[i].below_head(kPopsAhead) + 8);
    }
    return chunk;
  }

  // Empties list i: f(chunk) for each, from the head on, once its successor was read. f may push.
  template <class F>
  void take_all(unsigned i, F f) {
    Order order;
    std::swap(order, orders_[i]);
    const bool far = order.is_long();
    for (std::size_t link = 0; far && link < kHeadersAhead; ++link) expect_header(memory_, order.below_head(link));
    for (Address chunk = std::exchange(heads_[i], 0); chunk != 0; order.pop()) {
      if (far) {
        expect_header(memory_, order.below_head(kHeadersAhead));
        expect_neighbours(memory_, order.below_head(kNeighboursAhead));
        expect_links(memory_, order.below_head(kLinksAhead));
      }
      const Address after = next(chunk);
      f(chunk);
      chunk = after;
    }
  }

  bool maybe_nonempty = false;  // glibc's have_fastchunks: set by a push, cleared only by a consolidation

 private:
  using Order = FastbinOrder<looks_ahead<Memory>>;
  static constexpr std::size_t kPopsAhead = 8, kHeadersAhead = 16, kNeighboursAhead = 10, kLinksAhead = 5;

  Memory& memory_;
  std::array<Address, kCount> heads_{};
  std::array<Order, kCount> orders_;
};

}  // namespace faultline::heap
