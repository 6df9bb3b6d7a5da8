// Turns: with the option `turns` one thread at a time is inside the allocator, so that the stamps of its calls tell in which
// order they took place. Without it a Turn only reads the clock.
#pragma once

#include <cstdint>

#include "record/shim/encoder.h"
#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"

namespace faultline::shim {

// One call of the allocator: made just before it, stamp() just after it. Never waits for ever: a thread that is gone
// loses its turn, and so does one that keeps it for kLongestTurnNs (a signal handler in the middle of malloc that waits for another
// thread); the next one goes ahead, and the recording says how often that was. A signal handler that interrupted a call of its own
// thread goes ahead as well.
class Turn {
 public:
  explicit Turn(const ThreadRing* ring) {
    if (__builtin_expect(process.options.turns, 0)) word_ = take(ring->tid);
    begin_ = word_ == nullptr ? ticks() : word_->after_the_last();
  }
  Stamp stamp() {
    const std::uint64_t end = ticks();
    if (word_ != nullptr) give(end);
    return {begin_, end};
  }

  // Far above what a busy machine may keep a thread from its processor in the middle of a call.
  static constexpr std::int64_t kLongestTurnNs = 3'000'000'000;

  // Takes the turn for good: it ends when the thread is gone and the kernel says so in the word (thread_end.h).
  static TurnWord* take_for_good(std::int32_t tid) { return take(tid); }

 private:
  static TurnWord* take(std::int32_t tid);  // nullptr: this thread has it already
  void give(std::uint64_t end);

  TurnWord* word_ = nullptr;
  std::uint64_t begin_;
};

}  // namespace faultline::shim
