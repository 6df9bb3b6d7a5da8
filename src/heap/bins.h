// The unsorted, small and large bins: circular doubly linked lists through the free chunks. The list heads are libc
// data, so they live in this object; a chunk at the end of a list links to the head's token. In a model that is a number below
// any address. On real memory it is the head's own address less the words before its links, as in glibc: the head is then read
// like a chunk, and no branch asks which of the two it is.
#pragma once

#include <array>
#include <bit>

#include "heap/chunk_headers.h"
#include "heap/look_ahead.h"

namespace faultline::heap {

template <MemoryProvider Memory>
class Bins {
 public:
  explicit Bins(Memory& memory) : memory_(memory), headers_(memory) {
    for (unsigned i = 0; i < kBinCount; ++i) heads_[i] = {token(i), token(i)};
  }

  // The same lists in another memory, which holds the same chunks: what fork leaves a child.
  Bins(Memory& memory, const Bins& parent)
      : memory_(memory), headers_(memory), heads_(parent.heads_), nonempty_(parent.nonempty_) {}

  void assign(const Bins& saved) {  // of the same memory
    heads_ = saved.heads_;
    nonempty_ = saved.nonempty_;
  }

  Address token(unsigned index) const {
    if constexpr (kHeadsAreMemory) return reinterpret_cast<Address>(&heads_[index]) - 16;
    else return Address{index} << 4;
  }
  bool is_token(Address link) const { return link - token(0) < (Address{kBinCount} << 4); }

  Address first(unsigned index) const { return heads_[index].fd; }
  Address last(unsigned index) const { return heads_[index].bk; }
  bool empty(unsigned index) const { return heads_[index].fd == token(index); }
  Address fd(Address at) const { return is_number(at) ? heads_[at >> 4].fd : memory_.load_word(at + 16); }
  Address bk(Address at) const { return is_number(at) ? heads_[at >> 4].bk : memory_.load_word(at + 24); }
  Address next_size(Address at) const { return memory_.load_word(at + 32); }
  Address prev_size_class(Address at) const { return memory_.load_word(at + 40); }

  // Frees and remainders go to the head of the unsorted list; a large one is marked as not yet sorted.
  void push_unsorted(Address chunk, std::uint64_t size) {
    const Address head = token(kUnsortedBin), first_chunk = first(kUnsortedBin);
    FL_ASSERT(bk(first_chunk) == head);
    link(head, chunk, first_chunk);
    if (!is_small(size)) set_next_sizes(chunk, 0, 0);
  }

  // Takes the tail of a list without looking at its size class links: unsorted and small bins only.
  void drop_last(unsigned index) {
    const Address victim = last(index), before = bk(victim);
    FL_ASSERT(fd(before) == victim);
    heads_[index].bk = before;
    prefetch(memory_, before + 8);
    set_fd(before, token(index));
  }

  // Moves a chunk that is in no list into its small or large bin.
  void file(Address chunk, std::uint64_t size) {
    const unsigned index = bin_index(size);
    Address before = token(index), after = first(index);
    if (!is_small(size)) place_large(chunk, size, before, after);
    nonempty_[index >> 6] |= std::uint64_t{1} << (index & 63);
    link(before, chunk, after);
  }

  void unlink(Address chunk) {
    const std::uint64_t size = headers_.size(chunk);
    FL_ASSERT(size == headers_.prev_size(chunk + size));
    const Address after = fd(chunk), before = bk(chunk);
    FL_ASSERT(bk(after) == chunk && fd(before) == chunk);
    set_bk(after, before);
    set_fd(before, after);
    if (!is_small(size) && next_size(chunk) != 0) leave_size_classes(chunk, after);
  }

  // Best fit in the request's own large bin: the smallest size class that fits, and its second member if it has one,
  // so that the size class list need not change. 0 when nothing fits.
  Address best_fit(unsigned index, std::uint64_t needed) const {
    const Address largest = first(index);
    if (largest == token(index) || headers_.size(largest) < needed) return 0;
    Address victim = prev_size_class(largest);
    while (headers_.size(victim) < needed) victim = prev_size_class(victim);
    if (victim != last(index)) {
      const Address second = fd(victim);
      if (headers_.size(victim) == headers_.size(second)) return second;
    }
    return victim;
  }

  // Smallest, oldest chunk of the first non-empty bin at or above index; 0 when there is none.
  Address smallest_from(unsigned index) {
    for (unsigned word = index >> 6; word < nonempty_.size(); ++word) {
      std::uint64_t bits = nonempty_[word];
      if (word == index >> 6) bits &= ~std::uint64_t{0} << (index & 63);
      for (; bits != 0; bits &= bits - 1) {
        const unsigned bin = word * 64 + static_cast<unsigned>(std::countr_zero(bits));
        if (!empty(bin)) return last(bin);
        nonempty_[word] &= ~(std::uint64_t{1} << (bin & 63));
      }
    }
    return 0;
  }

 private:
  struct Head {
    Address fd, bk;
  };
  static constexpr bool kHeadsAreMemory = trusts_headers<Memory>;
  bool is_number(Address link) const { return !kHeadsAreMemory && is_token(link); }

  void set_fd(Address at, Address to) {
    if (is_number(at)) heads_[at >> 4].fd = to;
    else memory_.store_word(at + 16, to);
  }
  void set_bk(Address at, Address to) {
    if (is_number(at)) heads_[at >> 4].bk = to;
    else memory_.store_word(at + 24, to);
  }
  void set_next_sizes(Address at, Address next, Address previous) {
    memory_.store_word(at + 32, next);
    memory_.store_word(at + 40, previous);
  }
  void set_next_size(Address at, Address to) { memory_.store_word(at + 32, to); }
  void set_prev_size_class(Address at, Address to) { memory_.store_word(at + 40, to); }

  void link(Address before, Address chunk, Address after) {
    memory_.store_word(chunk + 16, after);
    memory_.store_word(chunk + 24, before);
    set_fd(before, chunk);
    set_bk(after, chunk);
  }

  // Large bins are sorted by descending size; the first chunk of each size is in a second ring, the size classes.
  void place_large(Address chunk, std::uint64_t size, Address& before, Address& after) {
    const Address head = before, largest = after;
    if (largest == head) return set_next_sizes(chunk, chunk, chunk);
    const Address smallest = bk(head);
    if (size < headers_.size(smallest)) {
      const Address last_class = prev_size_class(largest);
      set_next_sizes(chunk, largest, last_class);
      set_prev_size_class(largest, chunk);
      set_next_size(last_class, chunk);
      before = smallest;
      after = head;
      return;
    }
    Address at = largest;
    std::uint64_t at_size = headers_.size(at);
    while (size < at_size) {
      at = next_size(at);
      at_size = headers_.size(at);
    }
    if (size == at_size) {  // always the second place of its group: the class link stays where it is
      after = fd(at);
    } else {
      const Address previous = prev_size_class(at);
      set_next_sizes(chunk, at, previous);
      set_prev_size_class(at, chunk);
      set_next_size(previous, chunk);
      after = at;
    }
    before = bk(after);
  }

  void leave_size_classes(Address chunk, Address after) {
    const Address next = next_size(chunk), previous = prev_size_class(chunk);
    FL_ASSERT(prev_size_class(next) == chunk && next_size(previous) == chunk);
    if (!is_token(after) && next_size(after) == 0) {  // the next one of the same size takes over
      if (next == chunk) return set_next_sizes(after, after, after);
      set_next_sizes(after, next, previous);
      set_prev_size_class(next, after);
      set_next_size(previous, after);
    } else {
      set_prev_size_class(next, previous);
      set_next_size(previous, next);
    }
  }

  Memory& memory_;
  ChunkHeaders<Memory> headers_;
  std::array<Head, kBinCount> heads_;
  std::array<std::uint64_t, kBinCount / 64> nonempty_{};  // a set bit may be stale, a clear one never is
};

}  // namespace faultline::heap
