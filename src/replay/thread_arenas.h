// Which arena each recorded thread had, and the heaps those arenas lay in, found out from what malloc did: a new arena
// shows in its reservation of address space, an old one in the first block a thread got that its cache cannot have held.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "replay/fault_split.h"
#include "trace/event.h"

namespace faultline::replay {

class ThreadArenas {
 public:
  // Every event in order. inside: the memory calls malloc made in it, empty where those were not recorded.
  void note(std::uint16_t thread, const trace::HeapEvent& event, std::span<const trace::MemoryCall* const> inside);

  std::uint32_t arena_of(std::uint16_t thread) const {  // kUnknownArena: it never showed
    return thread < threads_.size() ? threads_[thread].arena : kUnknownArena;
  }
  std::uint32_t count() const { return arenas_; }
  // As mappings: from birth to death, 64 MiB each.
  const std::vector<ChunkSpan>& heaps() const { return heaps_; }

 private:
  struct Thread {
    std::uint32_t arena = kUnknownArena;
    std::unordered_set<std::uint64_t> freed;  // by this thread, or left over by its realloc, while its arena is not known: may come back from its cache
  };
  struct Heap {
    std::uint32_t arena = 0;
    std::size_t span = 0;
  };

  void reserved(Thread& thread, const trace::HeapEvent& event, std::uint64_t base);
  Heap& add_heap(std::uint64_t base, std::uint32_t arena, std::uint64_t birth_ns);

  std::vector<Thread> threads_;
  std::unordered_map<std::uint64_t, Heap> live_;  // by base
  std::vector<ChunkSpan> heaps_;
  std::uint32_t arenas_ = 1;
  bool first_ = true;
};

}  // namespace faultline::replay
