#include "record/shim/turn.h"

#include <linux/futex.h>
#include <time.h>

namespace faultline::shim {
namespace {

// The word is laid out as that of a robust futex (futex(2), Robust futexes), because the kernel gives back the turn of a thread
// that ended in it: the owner's tid, and whether somebody sleeps until it is given back.
constexpr std::uint32_t kWaited = FUTEX_WAITERS, kOwner = FUTEX_TID_MASK;
constexpr std::int64_t kPauseNs = 20'000'000;
constexpr unsigned kSpins = 200;

bool owned_by(std::uint32_t word, std::int32_t tid) { return (word & kOwner) == static_cast<std::uint32_t>(tid); }

__attribute__((noinline)) void wait_for_turn(TurnWord& turn, std::uint32_t self) {
  std::uint64_t served = turn.last_end.load(std::memory_order_relaxed);
  std::uint32_t owner = 0;
  std::int64_t waited_ns = 0;
  for (unsigned spins = 0;;) {
    std::uint32_t word = turn.owner.load(std::memory_order_relaxed);
    // Who has slept cannot know whether others still do: it takes the turn as one that is waited for.
    if ((word & kOwner) == 0) {
      const std::uint32_t waited = spins < kSpins ? word & kWaited : kWaited;
      if (turn.owner.compare_exchange_strong(word, self | waited, std::memory_order_acquire)) return;
      continue;
    }
    if (spins < kSpins) {
      ++spins;
      __builtin_ia32_pause();
      continue;
    }
    const std::uint64_t now_served = turn.last_end.load(std::memory_order_relaxed);
    if ((word & kOwner) != owner || now_served != served) {
      owner = word & kOwner;
      served = now_served;
      waited_ns = 0;
    }
    if (waited_ns > 0 && (waited_ns >= Turn::kLongestTurnNs || thread_is_dead(static_cast<std::int32_t>(owner)))) {
      if (!turn.owner.compare_exchange_strong(word, self | kWaited, std::memory_order_acquire)) continue;
      process.segment->lost_turns.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    if ((word & kWaited) == 0 && !turn.owner.compare_exchange_strong(word, word | kWaited, std::memory_order_relaxed)) continue;
    const timespec pause{0, kPauseNs};
    constexpr long kTimedOut = -110;
    if (raw_syscall(SYS_futex, address_of(&turn.owner), FUTEX_WAIT, static_cast<long>(word | kWaited), address_of(&pause)) == kTimedOut)
      waited_ns += kPauseNs;
  }
}

}  // namespace

TurnWord* Turn::take(std::int32_t tid) {
  ProcessTable* table = process_table.load(std::memory_order_relaxed);
  TurnWord& turn = table->turn;
  std::uint32_t word = 0;
  const auto self = static_cast<std::uint32_t>(tid);
  if (__builtin_expect(turn.owner.compare_exchange_strong(word, self, std::memory_order_acquire), 1)) return &turn;
  if (owned_by(word, tid)) return nullptr;
  wait_for_turn(turn, self);
  return &turn;
}

void Turn::give(std::uint64_t end) {
  if (static_cast<std::int64_t>(end - begin_) < 0) end = begin_;
  word_->last_end.store(end, std::memory_order_relaxed);
  const std::int32_t tid = current_tid(thread_pointer());
  std::uint32_t word = word_->owner.load(std::memory_order_relaxed);
  while (owned_by(word, tid)) {  // else it was lost meanwhile
    if (!word_->owner.compare_exchange_weak(word, 0, std::memory_order_release)) continue;
    if ((word & kWaited) != 0) raw_syscall(SYS_futex, address_of(&word_->owner), FUTEX_WAKE, 1);
    return;
  }
}

}  // namespace faultline::shim
