/* A program that does nothing but malloc and free: the worst case for a recorder.
   malloc_loop PATTERN COUNT [FRAMES]   prints CPU nanoseconds per malloc+free pair (steady on a busy machine).
   pairs: one block at a time    live: 50,000 blocks alive, a random one replaced    threads: two threads, `live` each */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))
enum { kLive = 50000 };
static const char* pattern;
static long count;

static NOINLINE void pairs(void) {
  for (long i = 0; i < count; ++i) {
    void* volatile p = malloc(40);
    free(p);
  }
}

static NOINLINE void live(uint64_t x) {
  void** blocks = calloc(kLive, sizeof *blocks);
  for (long i = 0; i < count; ++i) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    void** slot = &blocks[x % kLive];
    free(*slot);
    *slot = malloc(8 + (x >> 32) % 400);
  }
  for (int i = 0; i < kLive; ++i) free(blocks[i]);
  free(blocks);
}

static NOINLINE void run(int frames, uint64_t seed) {
  if (frames > 0) run(frames - 1, seed);
  else if (strcmp(pattern, "pairs") == 0) pairs();
  else live(seed);
  __asm__ volatile("");
}

struct job { int frames; uint64_t seed; };
static void* thread_main(void* argument) {
  struct job* job = argument;
  run(job->frames, job->seed);
  return NULL;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  pattern = argv[1];
  count = atol(argv[2]);
  const int frames = argc > 3 ? atoi(argv[3]) : 0;
  const int threads = strcmp(pattern, "threads") == 0 ? 2 : 1;
  struct timespec a, b;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
  if (threads == 1) {
    run(frames, 88172645463325252u);
  } else {
    pthread_t t[2];
    struct job jobs[2] = {{frames, 88172645463325252u}, {frames, 362436069u}};
    for (int i = 0; i < 2; ++i) pthread_create(&t[i], NULL, thread_main, &jobs[i]);
    for (int i = 0; i < 2; ++i) pthread_join(t[i], NULL);
  }
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
  printf("%.1f\n", ((double)(b.tv_sec - a.tv_sec) * 1e9 + (double)(b.tv_nsec - a.tv_nsec)) / ((double)count * threads));
  return 0;
}
