// fork(2) in a process with threads. glibc locks its malloc inside fork, after all atfork handlers and behind stdio's lock:
// a thread that flushes all streams waits for one that allocates. From a library the same order is to be had only by taking
// stdio's lock too, and first.
#include "malloc/fork.h"

#include <pthread.h>

#include "malloc/threads.h"

extern "C" {
void _IO_list_lock(void);  // glibc's own; recursive, so that fork takes it again, and made anew by fork in the child
void _IO_list_unlock(void);
}

namespace faultline::allocator {
namespace {

constinit bool locked = false;

void before_fork() {
  if (__libc_single_threaded != 0) return;
  _IO_list_lock();
  process_heap().arenas().lock_all();
  lock_threads();
  locked = true;
  forking_thread.store(this_thread(), std::memory_order_relaxed);
}

bool unlock() {
  if (!locked) return false;
  locked = false;
  forking_thread.store(nullptr, std::memory_order_relaxed);
  unlock_threads();
  process_heap().arenas().unlock_all();
  return true;
}

void in_parent() {
  if (unlock()) _IO_list_unlock();
}

void in_child() {
  if (!unlock()) return;
  forget_other_threads();
  LocalThread* const own = local_thread();
  process_heap().arenas().only_thread(own == nullptr ? heap::kNoArena : own->heap.arena);
}

}  // namespace

void watch_forks() { pthread_atfork(before_fork, in_parent, in_child); }

}  // namespace faultline::allocator
