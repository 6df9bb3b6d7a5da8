// Threads that come, go and free each other's blocks: thread_churn THREADS ROUNDS OPERATIONS SEED [cancel].
// cancel: one thread is cancelled at any instruction, perhaps inside malloc (which POSIX leaves undefined; with its blocks
// all in its own cache glibc survives it), and the others go on.
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kSlots = 3000, kMostThreads = 64 };

static void* slots[kSlots];
static pthread_mutex_t guards[kSlots];
static unsigned operations, seed;

static uint32_t next(uint32_t* state) {
  *state = *state * 1103515245u + 12345u;
  return *state >> 8;
}

static void* churn(void* number) {
  uint32_t state = seed * 2654435761u + (uint32_t)(uintptr_t)number * 7919u;
  for (unsigned i = 0; i < operations; ++i) {
    const unsigned k = next(&state) % kSlots;
    size_t size = 1 + next(&state) % 3000;
    if (next(&state) % 97 == 0) size = next(&state) % 400000;
    pthread_mutex_lock(&guards[k]);
    switch (next(&state) % 8) {
      case 0: slots[k] = realloc(slots[k], size + 1); break;
      case 1: free(slots[k]); slots[k] = calloc(1, size); break;
      case 2: free(slots[k]); slots[k] = memalign(64u << next(&state) % 4, size); break;
      default: free(slots[k]); slots[k] = malloc(size);
    }
    if (slots[k] == NULL) abort();
    memset(slots[k], 1, size < 64 ? size : 64);
    pthread_mutex_unlock(&guards[k]);
    if (next(&state) % 20011 == 0) malloc_trim(0);
  }
  return NULL;
}

static void* runs_for_ever(void* unused) {
  pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
  for (volatile int ever = 1; ever;) free(malloc(100));
  return unused;
}

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const unsigned threads = (unsigned)atoi(argv[1]) % (kMostThreads + 1), rounds = (unsigned)atoi(argv[2]);
  operations = (unsigned)atoi(argv[3]);
  seed = (unsigned)atoi(argv[4]);
  for (unsigned i = 0; i < kSlots; ++i) pthread_mutex_init(&guards[i], NULL);
  pthread_t running[kMostThreads], lost;
  if (argc > 5) {
    pthread_create(&lost, NULL, runs_for_ever, NULL);
    usleep(20000);
    pthread_cancel(lost);
  }
  for (unsigned i = 0; i < threads; ++i) pthread_create(&running[i], NULL, churn, (void*)(uintptr_t)i);
  for (unsigned r = 0; r < rounds; ++r) {
    const unsigned k = r % threads;
    pthread_join(running[k], NULL);
    pthread_create(&running[k], NULL, churn, (void*)(uintptr_t)(r + 100));
  }
  for (unsigned i = 0; i < threads; ++i) pthread_join(running[i], NULL);
  if (argc > 5) pthread_join(lost, NULL);
  puts("done");
  return 0;
}
