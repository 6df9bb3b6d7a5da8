// HeapLooks: the malloc heap of a replay at chosen events, and when it was worth looking.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "heap/heap_image.h"
#include "replay/program.h"

namespace faultline::replay {

struct Slot {  // a place in the replayer's table of live blocks
  heap::Address address = 0;
  std::uint64_t size = 0;
};

// Of a block that a forked process inherited: an ancestor's call, not one of its own.
inline constexpr heap::OwnerId kInherited = heap::kNoOwner - 1;

// Whose each slot's block is, event by event: each event is read once, however many looks there are.
class SlotOwners {
 public:
  void advance(const Program& program, std::size_t events);  // never back
  const std::vector<heap::OwnerId>& owners() const { return owners_; }

 private:
  std::vector<heap::OwnerId> owners_;
  std::size_t events_ = 0;
};

// What the program knows of the blocks that are alive.
class LiveBlocks {
 public:
  LiveBlocks(const std::vector<heap::OwnerId>& owners, const std::vector<Slot>& slots);
  std::optional<heap::BlockFacts> find(heap::Address user) const;

 private:
  std::vector<std::pair<heap::Address, heap::BlockFacts>> blocks_;  // by address
};

struct HeapLook {
  std::size_t event = 0;        // how many events had been replayed
  heap::HeapImage image;        // a block's owner is the stack of the event it came from
};

struct HeapLooks {
  static constexpr std::size_t kEnd = ~std::size_t{0};  // after the last event

  std::vector<std::size_t> wanted;  // after so many events, ascending
  bool only = false;                // nothing else is: the replay is given up after the last of them
  std::vector<HeapLook> seen;
  std::function<void(HeapLook&&)> take;  // gets each instead of `seen`, if it is set: one image at a time is held
  std::size_t looked() const { return looked_; }
  void add(HeapLook&& look) {
    ++looked_;
    if (take) take(std::move(look));
    else seen.push_back(std::move(look));
  }

  // Of all events replayed: after how many most pages of the process were resident, and how many blocks lay where they were recorded.
  std::size_t peak = 0;
  std::uint64_t peak_resident_pages = 0;
  std::uint64_t addresses_matched = 0, addresses_total = 0;
  void forget_the_peak() {  // it was the parent's
    peak = 0;
    peak_resident_pages = 0;
  }

 private:
  std::size_t looked_ = 0;
};

}  // namespace faultline::replay
