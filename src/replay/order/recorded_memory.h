// RecordedMemory: a MemoryProvider that answers what the kernel answered when the program was recorded, and can take its
// stores back. For finding out in which order things happened: no page tables, no faults, only the allocator's words.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/units.h"
#include "heap/memory_provider.h"
#include "replay/program.h"

namespace faultline::replay {

struct Diverged {};  // thrown where the model asks for another call than was recorded

class RecordedMemory {
 public:
  explicit RecordedMemory(std::uint64_t initial_brk) : break_(initial_brk) {}

  // The calls that malloc made in the event that is replayed next; each must be asked for, in order.
  void expect(std::span<const AllocatorCall> calls) {
    calls_ = calls;
    any_ = false;
  }
  // What ends a thread makes calls that belong to no event: they succeed, whatever they are.
  void accept_any() {
    calls_ = {};
    any_ = true;
  }
  bool all_made() const { return calls_.empty(); }
  void move_foreign_break(std::int64_t delta) { break_ += static_cast<std::uint64_t>(delta); }

  // Stores since a mark can be taken back as long as no later mark than it was forgotten.
  struct Mark {
    std::uint64_t stores = 0, break_at = 0;
  };
  Mark mark() const { return {forgotten_ + journal_.size(), break_}; }
  void take_back(const Mark& mark);
  void forget(const Mark& mark);  // everything before it stands

  std::uint64_t page_size() const { return kPageSize; }
  heap::Address sbrk(std::int64_t delta);
  heap::Address map(const heap::MapRequest& request);
  bool unmap(heap::Address start, std::uint64_t length);
  heap::Address remap(heap::Address start, std::uint64_t old_length, std::uint64_t new_length);
  bool protect(heap::Address start, std::uint64_t length, heap::Protection protection);
  bool advise(heap::Address start, std::uint64_t length, heap::Advice advice);
  std::uint64_t load_word(heap::Address address) { return word(address); }
  void store_word(heap::Address address, std::uint64_t value) {
    std::uint64_t& at = word(address);
    if (at == value) return;
    journal_.push_back({&at, at});
    at = value;
  }
  // What a program's bytes hold decides nothing in malloc: neither does it whether fresh memory is zero.
  void clear(heap::Address, std::uint64_t) {}
  void copy(heap::Address, heap::Address, std::uint64_t) {}

 private:
  static constexpr std::uint64_t kTablePages = std::uint64_t{1} << 14;  // 64 MiB
  using Words = std::array<std::uint64_t, kPageSize / 8>;
  using Table = std::array<std::unique_ptr<Words>, kTablePages>;
  struct Store {
    std::uint64_t* at;
    std::uint64_t before;
  };

  const AllocatorCall& next(trace::CallKind kind);
  std::uint64_t& word(heap::Address address) {
    const std::uint64_t page = address >> kPageShift, number = page / kTablePages;
    if (number != last_number_) [[unlikely]] select(number);
    std::unique_ptr<Words>& words = (*last_)[page % kTablePages];
    if (words == nullptr) [[unlikely]] words = std::make_unique<Words>();
    return (*words)[address % kPageSize / 8];
  }
  void select(std::uint64_t number);

  std::unordered_map<std::uint64_t, std::unique_ptr<Table>> tables_;
  std::uint64_t last_number_ = ~std::uint64_t{0};
  Table* last_ = nullptr;
  std::vector<Store> journal_;
  std::uint64_t forgotten_ = 0;  // stores before the journal's first
  std::span<const AllocatorCall> calls_;
  bool any_ = false;
  std::uint64_t break_;
};

}  // namespace faultline::replay
