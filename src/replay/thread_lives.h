// ThreadLives: when the threads of a replay get their arenas and end, as it was recorded.
#pragma once

#include <cstdint>
#include <vector>

#include "heap/thread_heaps.h"
#include "replay/program.h"

namespace faultline::replay {

class ThreadLives {
 public:
  // recorded_arenas: each thread gets the arena it had. Otherwise the rules of arena_get2 decide, with every lock free.
  ThreadLives(const Program& program, bool recorded_arenas)
      : program_(&program), recorded_arenas_(recorded_arenas), arenas_(program.arenas, heap::kNoArena), begun_(program.threads.size()) {
    arenas_[0] = heap::kMainArena;
  }

  // Before the event at this place: threads that ended by then. True if one did.
  template <class Heap>
  bool end_threads(std::size_t place, Heap& heap) {
    bool any = false;
    for (; next_exit_ < program_->thread_exits.size() && program_->thread_exits[next_exit_].event <= place; ++next_exit_) {
      const std::uint16_t thread = program_->thread_exits[next_exit_].thread;
      heap.thread_exit(thread);
      begun_[thread] = false;
      any = true;
    }
    return any;
  }
  std::size_t next_end() const { return next_exit_ < program_->thread_exits.size() ? program_->thread_exits[next_exit_].event : ~std::size_t{0}; }
  // Around each event of a thread: its first one that needs an arena gets it.
  template <class Heap>
  void begin(std::uint16_t thread, Heap& heap) const {
    if (begun_[thread]) [[likely]] return;
    const std::uint32_t recorded = program_->threads[thread].arena;
    if (!recorded_arenas_ || recorded == kUnknownArena || arenas_[recorded] == heap::kNoArena) return;
    heap.use_arena(thread, arenas_[recorded]);
  }
  template <class Heap>
  void begun(std::uint16_t thread, const Heap& heap) {
    if (begun_[thread]) [[likely]] return;
    const heap::ArenaId own = heap.arena_of(thread);
    if (own == heap::kNoArena) return;
    begun_[thread] = true;
    const std::uint32_t recorded = program_->threads[thread].arena;
    if (recorded != kUnknownArena && arenas_[recorded] == heap::kNoArena) arenas_[recorded] = own;
  }

 private:
  const Program* program_;
  bool recorded_arenas_;
  std::vector<heap::ArenaId> arenas_;  // the model's, by recorded arena
  std::vector<bool> begun_;            // by thread: it has its arena
  std::size_t next_exit_ = 0;
};

}  // namespace faultline::replay
