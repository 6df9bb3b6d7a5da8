// The calling thread's own state, found by one load.
//
// A TLS segment would be the usual place. But every module with one makes glibc's per-thread table (dtv) 16 bytes larger, and
// that lies in the heap: all blocks of a program with threads would move. So its address is kept in the thread control block,
// in words that x86-64 glibc reserves there and has not used since 2.23 (tcbhead_t's __glibc_unused2, zero in a new thread).
#pragma once

#include <sys/types.h>

#include "malloc/process_heap.h"

namespace faultline::allocator {

struct LocalThread {
  Heap::Thread heap;
  unsigned destructor_rounds = 0;
  void* control_block = nullptr;            // of the thread whose state this is
  LocalThread *before = nullptr, *after = nullptr;  // all there are
};

struct ControlBlockWords {
  LocalThread* thread;
  pid_t ended;  // the thread that had this control block and is past its end, but for libc's own last frees
};
inline constexpr unsigned kControlBlockWords = 0x200;

// nullptr before the thread's first call, and after its end.
inline LocalThread* local_thread() {
  LocalThread* thread;
  asm("movq %%fs:%c1, %0" : "=r"(thread) : "i"(kControlBlockWords));
  return thread;
}

// What local_thread() returns from now on; nullptr for a thread past its end, or without memory.
LocalThread* begin_thread();

void watch_thread_ends();

// fork(2): nobody changes the list meanwhile; in the child the others are gone.
void lock_threads();
void unlock_threads();
void forget_other_threads();

}  // namespace faultline::allocator
