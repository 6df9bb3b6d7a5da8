/* malloc_loops LOOP: one malloc benchmark with whatever malloc the process has; prints nanoseconds of CPU time per operation (a malloc and
   its free, a calloc and its free, a realloc step). Plain C, so that nothing else allocates. */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double cpu_ns(void) { /* of all threads: other load on the machine does not count */
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static uint64_t next_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* Many small ones, some of a few kilobytes. */
static size_t some_size(uint64_t* state) {
  const uint64_t r = next_random(state);
  return (size_t)(16 + (r >> 8) % (UINT64_C(16) << (r % 9)));
}

static void touch(void* block) { *(volatile char*)block = 1; }

enum { kSizes = 16 };
static const size_t sizes[kSizes] = {8, 16, 24, 32, 48, 64, 80, 100, 128, 200, 256, 400, 512, 700, 900, 1000};

static uint64_t flat(void) { /* the same block again and again: the thread's cache alone */
  enum { kRounds = 2000000 };
  for (int s = 0; s < kSizes; ++s) {
    for (int i = 0; i < kRounds; ++i) {
      void* block = malloc(sizes[s]);
      touch(block);
      free(block);
    }
  }
  return (uint64_t)kRounds * kSizes;
}

static uint64_t runs(void) { /* thirty blocks, then all freed: beyond the thread's cache */
  enum { kRounds = 60000, kRun = 30 };
  void* blocks[kRun];
  for (int s = 0; s < kSizes; ++s) {
    for (int i = 0; i < kRounds; ++i) {
      for (int b = 0; b < kRun; ++b) touch(blocks[b] = malloc(sizes[s]));
      for (int b = 0; b < kRun; ++b) free(blocks[b]);
    }
  }
  return (uint64_t)kRounds * kSizes * kRun;
}

static uint64_t churn(size_t live, uint64_t rounds, uint64_t seed) {
  void** blocks = calloc(live, sizeof *blocks);
  for (uint64_t i = 0; i < rounds; ++i) {
    const size_t at = next_random(&seed) % live;
    free(blocks[at]);
    touch(blocks[at] = malloc(some_size(&seed)));
  }
  for (size_t i = 0; i < live; ++i) free(blocks[i]);
  free(blocks);
  return rounds;
}
static uint64_t random_10k(void) { return churn(10000, 8000000, 88172645463325252u); }

/* Larson's server: threads replace blocks at random in sets that wander from thread to thread. */
enum { kSet = 1000, kStages = 30, kPerStage = 100000, kWorkers = 2 };
static void* sets[kWorkers][kSet];
static pthread_barrier_t barrier;
static void* larson_worker(void* argument) {
  const size_t self = (size_t)argument;
  uint64_t seed = 12345 + self * 77777;
  for (size_t stage = 0; stage < kStages; ++stage) {
    void** set = sets[(self + stage) % kWorkers];
    for (int i = 0; i < kPerStage; ++i) {
      const size_t at = next_random(&seed) % kSet;
      free(set[at]);
      touch(set[at] = malloc(10 + next_random(&seed) % 500));
    }
    pthread_barrier_wait(&barrier);
  }
  return NULL;
}
static uint64_t larson(void) {
  pthread_t threads[kWorkers];
  pthread_barrier_init(&barrier, NULL, kWorkers);
  for (size_t i = 0; i < kWorkers; ++i) pthread_create(&threads[i], NULL, larson_worker, (void*)i);
  for (size_t i = 0; i < kWorkers; ++i) pthread_join(threads[i], NULL);
  return (uint64_t)kStages * kPerStage * kWorkers;
}

static uint64_t zeroed(void) {
  enum { kRounds = 400000 };
  for (int s = 0; s < kSizes; ++s) {
    for (int i = 0; i < kRounds; ++i) {
      void* block = calloc(1, sizes[s]);
      touch(block);
      free(block);
    }
  }
  return (uint64_t)kRounds * kSizes;
}

static uint64_t growth(void) { /* eight buffers that grow side by side, as strings and vectors do */
  enum { kRounds = 10000, kBuffers = 8, kSteps = 28 };
  for (int i = 0; i < kRounds; ++i) {
    void* buffers[kBuffers] = {0};
    size_t size = 16;
    for (int step = 0; step < kSteps; ++step, size += size / 4 + 8) {
      for (int b = 0; b < kBuffers; ++b) touch(buffers[b] = realloc(buffers[b], size));
    }
    for (int b = 0; b < kBuffers; ++b) free(buffers[b]);
  }
  return (uint64_t)kRounds * kBuffers * kSteps;
}

static uint64_t large(void) { /* from the large bins and the top */
  enum { kLive = 64, kRounds = 1500000 };
  void* blocks[kLive] = {0};
  uint64_t seed = 424242;
  for (int i = 0; i < kRounds; ++i) {
    const size_t at = next_random(&seed) % kLive;
    free(blocks[at]);
    touch(blocks[at] = malloc(1100 + next_random(&seed) % 60000));
  }
  for (int i = 0; i < kLive; ++i) free(blocks[i]);
  return kRounds;
}

static uint64_t aligned(void) {
  enum { kLive = 64, kRounds = 2000000 };
  void* blocks[kLive] = {0};
  uint64_t seed = 99;
  for (int i = 0; i < kRounds; ++i) {
    const size_t at = next_random(&seed) % kLive;
    free(blocks[at]);
    touch(blocks[at] = aligned_alloc(64, 64 + next_random(&seed) % 2000));
  }
  for (int i = 0; i < kLive; ++i) free(blocks[i]);
  return kRounds;
}

int main(int argc, char** argv) {
  static const struct {
    const char* name;
    uint64_t (*run)(void);
  } loops[] = {{"flat", flat},   {"runs", runs},     {"random", random_10k}, {"larson", larson},
               {"calloc", zeroed}, {"realloc", growth}, {"large", large},       {"aligned", aligned}};
  for (unsigned i = 0; argc == 2 && i < sizeof loops / sizeof loops[0]; ++i) {
    if (strcmp(argv[1], loops[i].name) != 0) continue;
    const double start = cpu_ns();
    const uint64_t operations = loops[i].run();
    printf("%.3f\n", (cpu_ns() - start) / (double)operations);
    return 0;
  }
  fprintf(stderr, "usage: malloc_loops flat|runs|random|larson|calloc|realloc|large|aligned\n");
  return 2;
}
