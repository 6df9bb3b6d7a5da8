#include "malloc/threads.h"

#include <limits.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "malloc/raw_read.h"

namespace faultline::allocator {
namespace {

constinit FutexMutex mutex;
constinit Pool<LocalThread> pool;
constinit LocalThread* all = nullptr;
constinit pthread_key_t key = 0;
constinit bool has_key = false;

char* control_block() { return static_cast<char*>(__builtin_thread_pointer()); }
ControlBlockWords& words_of(void* block) {
  return *reinterpret_cast<ControlBlockWords*>(static_cast<char*>(block) + kControlBlockWords);
}
pid_t thread_id() { return static_cast<pid_t>(raw_call(SYS_gettid, 0, nullptr, 0)); }

void remove(LocalThread* thread) {
  if (thread->before != nullptr) thread->before->after = thread->after;
  else all = thread->after;
  if (thread->after != nullptr) thread->after->before = thread->before;
  pool.destroy(thread);
}

// glibc empties a thread's cache after all other destructors. A key's destructor is called again, round by round, as long as
// it sets its value anew: only the last round there is does the work.
void on_destructor(void* value) {
  auto* const thread = static_cast<LocalThread*>(value);
  if (++thread->destructor_rounds < PTHREAD_DESTRUCTOR_ITERATIONS && pthread_setspecific(key, thread) == 0) return;
  ControlBlockWords& words = words_of(thread->control_block);
  words.thread = nullptr;
  words.ended = thread_id();
  process_heap().thread_exit(thread->heap);
  mutex.lock();
  remove(thread);
  mutex.unlock();
}

}  // namespace

void watch_thread_ends() { has_key = pthread_key_create(&key, on_destructor) == 0; }

LocalThread* begin_thread() {
  const bool first = start_heap();
  ControlBlockWords& words = words_of(control_block());
  if (words.thread != nullptr) return words.thread;  // starting the heap came back here
  if (words.ended != 0 && words.ended == thread_id()) return nullptr;
  mutex.lock();
  LocalThread* const thread = pool.make();
  if (thread != nullptr) {
    thread->control_block = control_block();
    thread->after = all;
    if (all != nullptr) all->before = thread;
    all = thread;
  }
  mutex.unlock();
  if (thread == nullptr) return nullptr;
  words = {thread, 0};
  if (first) process_heap().first_thread(thread->heap);
  if (has_key) pthread_setspecific(key, thread);
  return thread;
}

void lock_threads() { mutex.lock(); }
void unlock_threads() { mutex.unlock(); }

// Their control blocks are used again with the stacks they are in: a new thread must not find an old one's state there.
void forget_other_threads() {
  for (LocalThread* thread = all; thread != nullptr;) {
    LocalThread* const next = thread->after;
    if (thread->control_block != control_block()) {
      words_of(thread->control_block) = {};
      remove(thread);
    }
    thread = next;
  }
}

}  // namespace faultline::allocator
