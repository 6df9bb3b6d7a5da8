#include "record/shim/thread_end.h"

#include <linux/futex.h>
#include <limits.h>

#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/real_functions.h"
#include "record/shim/turn.h"

namespace faultline::shim {
namespace {

constexpr unsigned kNoKey = ~0U, kMakingKey = kNoKey - 1;
// Only the values of the first keys lie in the thread's descriptor: for others pthread_setspecific would call calloc.
constexpr unsigned kKeysWithoutMemory = 32;
constinit std::atomic<unsigned> key{kNoKey};

constexpr std::size_t kEndBytes = 16;

// So that nobody waits for the recorder in a turn.
void make_room() {
  ThreadRing* const ring = current_ring();
  const BusyRing busy(ring);
  if (busy) reserve(*ring, kEndBytes);
}

void write_thread_end(TurnWord& turn) {
  ThreadRing* const ring = current_ring();
  const BusyRing busy(ring);
  std::uint8_t* out = busy ? reserve(*ring, kEndBytes) : nullptr;
  if (out == nullptr) return;
  const std::uint64_t now = turn.after_the_last();
  *out++ = static_cast<std::uint8_t>(wire::RecordKind::thread_end);
  out = wire::put_varint(out, now - ring->last_tsc);
  ring->last_tsc = now;
  commit(*ring, out);
  turn.last_end.store(now, std::memory_order_relaxed);
}

// The kernel looks at a thread's robust list when it ends; the pending entry is for a futex that is being taken or given just
// then, and glibc has no use for it any more.
void give_back_when_gone(TurnWord& turn) {
  robust_list_head* list = nullptr;
  std::size_t length = 0;
  if (failed(raw_syscall(SYS_get_robust_list, 0, address_of(&list), address_of(&length))) || list == nullptr) return;
  if (length != sizeof *list || list->list_op_pending != nullptr) return;
  make_room();
  TurnWord* const taken = Turn::take_for_good(current_tid(thread_pointer()));
  if (taken != &turn) return;  // in a turn already: a destructor that runs inside malloc
  write_thread_end(turn);
  const auto word = reinterpret_cast<std::uintptr_t>(&turn.owner);
  list->list_op_pending = reinterpret_cast<robust_list*>(word - static_cast<std::uintptr_t>(list->futex_offset));
}

// As late as destructors run: the other ones may wait for threads that wait for their turn.
void thread_ends(void* round) {
  const auto next = reinterpret_cast<std::uintptr_t>(round) + 1;
  if (next <= PTHREAD_DESTRUCTOR_ITERATIONS) {
    real.pthread_setspecific(key.load(std::memory_order_relaxed), reinterpret_cast<void*>(next));
    return;
  }
  if (!process_is_recording()) return;
  // The first thread's pthread_exit leaves its cache alone (__libc_start_call_main has no __libc_thread_freeres).
  if (current_tid(thread_pointer()) == process.pid) return;
  give_back_when_gone(process_table.load(std::memory_order_relaxed)->turn);
}

void make_key() {
  unsigned expected = kNoKey, made = kNoKey;
  if (!key.compare_exchange_strong(expected, kMakingKey)) return;
  if (real.pthread_key_create(&made, thread_ends) == 0) key.store(made, std::memory_order_release);
}

}  // namespace

void watch_thread_end() {
  if (real.pthread_key_create == nullptr || real.pthread_setspecific == nullptr) return;
  if (key.load(std::memory_order_acquire) == kNoKey) make_key();
  const unsigned made = key.load(std::memory_order_acquire);
  if (made < kKeysWithoutMemory) real.pthread_setspecific(made, reinterpret_cast<void*>(1));
}

}  // namespace faultline::shim
