// AddressMap<T>: live blocks by address while a recording is loaded. Open addressing, linear probing, no tombstones
// (deletion shifts back), because a long recording inserts and erases hundreds of millions of times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/prefetch.h"

namespace faultline::replay {

template <typename T>
class AddressMap {
 public:
  AddressMap() : slots_(1024) {}

  std::size_t size() const { return size_; }

  void prefetch(std::uint64_t address) const { faultline::prefetch(&slots_[home(address)]); }  // it will be asked for

  // nullptr if the address is not there. Address 0 is never a key.
  T* find(std::uint64_t address) {
    for (std::size_t i = home(address);; i = next(i)) {
      if (slots_[i].key == address) return &slots_[i].value;
      if (slots_[i].key == 0) return nullptr;
    }
  }

  T& insert(std::uint64_t address, T value) {
    if ((size_ + 1) * 2 > slots_.size()) grow();
    std::size_t i = home(address);
    while (slots_[i].key != 0 && slots_[i].key != address) i = next(i);
    if (slots_[i].key == 0) ++size_;
    slots_[i] = {address, std::move(value)};
    return slots_[i].value;
  }

  void erase(std::uint64_t address) {
    std::size_t hole = home(address);
    while (slots_[hole].key != address) {
      if (slots_[hole].key == 0) return;
      hole = next(hole);
    }
    --size_;
    for (std::size_t i = next(hole); slots_[i].key != 0; i = next(i)) {
      // An entry may move into the hole unless its home lies cyclically after the hole.
      const std::size_t distance_home = (i - home(slots_[i].key)) & mask();
      const std::size_t distance_hole = (i - hole) & mask();
      if (distance_home >= distance_hole) {
        slots_[hole] = std::move(slots_[i]);
        hole = i;
      }
    }
    slots_[hole] = Slot{};
  }

  template <typename F>
  void for_each(F f) {
    for (Slot& slot : slots_)
      if (slot.key != 0) f(slot.key, slot.value);
  }

 private:
  struct Slot {
    std::uint64_t key = 0;
    T value{};
  };
  std::vector<Slot> slots_;  // power of two
  std::size_t size_ = 0;

  std::size_t mask() const { return slots_.size() - 1; }
  std::size_t next(std::size_t i) const { return (i + 1) & mask(); }
  std::size_t home(std::uint64_t address) const {
    return static_cast<std::size_t>((address >> 4) * 0x9e3779b97f4a7c15u >> 20) & mask();
  }
  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (Slot& slot : old) {
      if (slot.key == 0) continue;
      std::size_t i = home(slot.key);
      while (slots_[i].key != 0) i = next(i);
      slots_[i] = std::move(slot);
    }
  }
};

}  // namespace faultline::replay
