// A mutex of four bytes that knows nothing of threads' own state, so that it works before libc is set up, in fork handlers
// and in the forked child. futex(7); 0 free, 1 held, 2 held and perhaps waited for.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>

#include <atomic>
#include <cstdint>

namespace faultline::allocator {

// The thread that forks holds every mutex until the child exists. If one of its fork handlers allocates meanwhile, it is let
// in: it would wait for itself. Any address of the thread's own will do as its name.
inline std::atomic<const void*> forking_thread = nullptr;
inline const void* this_thread() { return __builtin_thread_pointer(); }

class FutexMutex {
 public:
  void lock() {
    std::uint32_t free = 0;
    if (!state_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed)) [[unlikely]] wait();
  }
  bool try_lock() {
    std::uint32_t free = 0;
    return state_.compare_exchange_strong(free, 1, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() {
    if (nested_ != 0) [[unlikely]] {
      --nested_;
      return;
    }
    if (state_.exchange(0, std::memory_order_release) == 2) [[unlikely]] futex(FUTEX_WAKE_PRIVATE, 1);
  }

 private:
  [[gnu::noinline]] void wait() {
    if (forking_thread.load(std::memory_order_relaxed) == this_thread()) {
      ++nested_;
      return;
    }
    for (unsigned tries = 0; tries < 30; ++tries) {  // most are held for some tens of nanoseconds
      __builtin_ia32_pause();
      if (state_.load(std::memory_order_relaxed) == 0 && try_lock()) return;
    }
    while (state_.exchange(2, std::memory_order_acquire) != 0) futex(FUTEX_WAIT_PRIVATE, 2);
  }
  void futex(std::uint64_t operation, std::uint64_t value) {  // raw: errno is the program's
    long result;
    register std::uint64_t no_timeout asm("r10") = 0;
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(static_cast<long>(SYS_futex)), "D"(&state_), "S"(operation), "d"(value), "r"(no_timeout)
                 : "rcx", "r11", "memory");
  }

  std::atomic<std::uint32_t> state_ = 0;
  std::uint32_t nested_ = 0;  // the holder's only
};

}  // namespace faultline::allocator
