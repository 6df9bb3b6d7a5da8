// The host of a heap::Allocator that serves this process: real mutexes, and arenas' objects outside the heap.
#pragma once

#include <sys/single_threaded.h>

#include "malloc/futex_mutex.h"
#include "malloc/own_memory.h"

namespace faultline::allocator {

struct KernelHost {
  using Mutex = FutexMutex;

  // What glibc's own malloc asks. It turns false in the first pthread_create, and never true again.
  bool single_threaded() const { return __libc_single_threaded != 0; }

  // Arenas only, and under the list's mutex. Those that could not be opened are used again.
  template <class T, class... Arguments>
  T* make(Arguments&&... arguments) { return pool<T>.make(std::forward<Arguments>(arguments)...); }
  template <class T>
  void destroy(T* object) { pool<T>.destroy(object); }

 private:
  template <class T>
  static inline constinit Pool<T> pool;
};

}  // namespace faultline::allocator
