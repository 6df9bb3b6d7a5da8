#include "malloc/process_heap.h"

#include <sched.h>

#include <atomic>

#include "malloc/fork.h"
#include "malloc/start.h"
#include "malloc/threads.h"

namespace faultline::allocator {
namespace {

enum State : int { kNone, kStarting, kReady };
constinit std::atomic<int> state = kNone;
constinit heap::KernelMemory memory;

}  // namespace

constinit HeapStorage heap_storage{};

bool start_heap() {
  if (state.load(std::memory_order_acquire) == kReady) [[likely]] return false;
  int none = kNone;
  if (!state.compare_exchange_strong(none, kStarting)) {
    while (state.load(std::memory_order_acquire) != kReady) sched_yield();
    return false;
  }
  new (heap_storage.bytes) Heap(memory, parameters_at_start());
  state.store(kReady, std::memory_order_release);
  watch_thread_ends();
  watch_forks();
  return true;
}

}  // namespace faultline::allocator
