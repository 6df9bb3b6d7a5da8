// Processes that go on with the heap they inherited: forked_heaps SEED. Children are forked by the first thread and by another one,
// while others allocate; each frees blocks of its parent's, allocates, and some fork again. Nobody execs.
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kSlots = 400 };

struct work {
  uint32_t state;
  void* slots[kSlots];
};

static uint32_t next(uint32_t* state) {
  *state = *state * 1103515245u + 12345u;
  return *state >> 8;
}

static void churn(struct work* work, unsigned operations) {
  for (unsigned i = 0; i < operations; ++i) {
    void** slot = &work->slots[next(&work->state) % kSlots];
    size_t size = 1 + next(&work->state) % 5000;
    if (next(&work->state) % 61 == 0) size = next(&work->state) % 600000;
    switch (next(&work->state) % 6) {
      case 0: *slot = realloc(*slot, size); break;
      case 1:  // looked at before it is filled, as who asks for zeroes does
        free(*slot);
        *slot = calloc(1, size);
        for (size_t at = 0; *slot != NULL && at < size; at += 512) {
          if (((volatile char*)*slot)[at] != 0) abort();
        }
        break;
      case 2: free(*slot); *slot = NULL; break;
      default: free(*slot); *slot = malloc(size);
    }
    if (*slot != NULL) memset(*slot, 1, size);
  }
}

static void child(struct work* work, int depth) {
  const pid_t pid = fork();
  if (pid < 0) exit(3);
  if (pid == 0) {
    churn(work, 1500);
    if (depth > 0) child(work, depth - 1);
    churn(work, 500);
    exit(0);
  }
  churn(work, 300);  // pages are shared with the child
  int status = 0;
  if (waitpid(pid, &status, 0) != pid || status != 0) exit(4);
  churn(work, 300);  // and are no longer
}

static struct work of_thread[2];

static void* thread(void* number) {
  struct work* work = &of_thread[(uintptr_t)number];
  churn(work, 1000);
  for (int i = 0; i < 3; ++i) {
    child(work, i == 1);
    churn(work, 1000);
  }
  return NULL;
}

int main(int argc, char** argv) {
  static struct work work;
  work.state = argc > 1 ? (uint32_t)atoi(argv[1]) * 2654435761u : 1;
  churn(&work, 2000);
  child(&work, 2);
  pthread_t threads[2];
  for (uintptr_t i = 0; i < 2; ++i) {
    of_thread[i].state = work.state + (uint32_t)i * 7919u;
    pthread_create(&threads[i], NULL, thread, (void*)i);
  }
  for (int i = 0; i < 2; ++i) pthread_join(threads[i], NULL);
  child(&work, 0);
  puts("done");
  return 0;
}
