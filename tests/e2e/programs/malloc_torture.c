/* malloc_torture TEST: what a malloc must stand. Works with any; prints what is wrong and exits with 1, or "ok" and 0. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXPECT(condition) \
  do { \
    if (!(condition)) { \
      fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
      _exit(1); \
    } \
  } while (0)

static uint64_t next_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

static size_t some_size(uint64_t* state) {
  const uint64_t r = next_random(state);
  if (r % 400 == 0) return 130000 + (r >> 20) % 300000;
  return (size_t)((r >> 8) % (UINT64_C(32) << (r % 10)));
}

/* A block whose bytes say what they should be. */
struct Block {
  unsigned char* at;
  size_t size;
  unsigned char mark;
};
static void check(const struct Block* block) {
  for (size_t i = 0; i < block->size; i += i < 64 ? 1 : 509) EXPECT(block->at[i] == block->mark);
  if (block->size > 0) EXPECT(block->at[block->size - 1] == block->mark);
}
static void mark(struct Block* block, uint64_t* seed) {
  block->mark = (unsigned char)next_random(seed);
  EXPECT(block->at != NULL && (uintptr_t)block->at % 16 == 0 && malloc_usable_size(block->at) >= block->size);
  memset(block->at, block->mark, block->size);
}
static void step(struct Block* block, uint64_t* seed) {
  const uint64_t kind = next_random(seed) % 16;
  if (block->at != NULL) check(block);
  if (block->at == NULL || kind < 3) {
    const size_t size = some_size(seed);
    free(block->at);
    block->size = size;
    if (kind == 0) {
      block->at = calloc(1, size);
      for (size_t i = 0; i < size; i += i < 4096 ? 1 : 509) EXPECT(block->at[i] == 0);
    } else if (kind == 1) {
      const size_t alignment = (size_t)16 << next_random(seed) % 9;
      block->at = aligned_alloc(alignment, size);
      EXPECT((uintptr_t)block->at % alignment == 0);
    } else {
      block->at = malloc(size);
    }
    mark(block, seed);
  } else if (kind < 5) {
    const size_t size = some_size(seed) + 1;
    const struct Block before = *block;
    block->at = realloc(block->at, size);
    const struct Block kept = {block->at, before.size < size ? before.size : size, before.mark};
    EXPECT(block->at != NULL);
    check(&kept);
    block->size = size;
    mark(block, seed);
  } else {
    free(block->at);
    block->at = NULL;
    block->size = 0;
  }
}

/* ---- threads that exchange blocks; most of them soon end ---- */
enum { kShared = 512, kThreads = 4 };
static struct Block shared[kShared];
static pthread_mutex_t shared_locks[kShared];
static pthread_key_t keys[3];
static __thread void* last_words;

static void on_key(void* value) { /* frees and allocates while its thread ends, and comes back for more */
  static __thread int rounds;
  free(value);
  if (++rounds < 8) pthread_setspecific(keys[rounds % 3], malloc(100));
  free(last_words);
  last_words = malloc(40);
  free(strdup("gone"));
  free(last_words);
  last_words = NULL;
}

static void* churn(void* argument) {
  uint64_t seed = (uint64_t)(uintptr_t)argument * 0x9e3779b97f4a7c15u + 1;
  struct Block own[64] = {{0}};
  for (int i = 0; i < 3; ++i) pthread_setspecific(keys[i], malloc(50));
  for (int i = 0; i < 4000; ++i) {
    step(&own[next_random(&seed) % 64], &seed);
    const size_t at = next_random(&seed) % kShared;
    pthread_mutex_lock(&shared_locks[at]);
    step(&shared[at], &seed);
    pthread_mutex_unlock(&shared_locks[at]);
  }
  for (int i = 0; i < 64; ++i) free(own[i].at);
  return NULL;
}

static void prepare_sharing(void) {
  for (int i = 0; i < kShared; ++i) pthread_mutex_init(&shared_locks[i], NULL);
  for (int i = 0; i < 3; ++i) pthread_key_create(&keys[i], on_key);
}

static void threads(int rounds) {
  pthread_t all[kThreads];
  for (int round = 0; round < rounds; ++round) {
    for (int i = 0; i < kThreads; ++i) EXPECT(pthread_create(&all[i], NULL, churn, (void*)(uintptr_t)(round * kThreads + i)) == 0);
    for (int i = 0; i < kThreads; ++i) pthread_join(all[i], NULL);
  }
}

static void* short_life(void* argument) {
  free(argument);
  return malloc(77);
}
static void many_threads(void) { /* arenas are handed on; stacks and the words on them are used again */
  for (int i = 0; i < 3000; ++i) {
    pthread_t pair[2];
    for (int k = 0; k < 2; ++k) EXPECT(pthread_create(&pair[k], NULL, short_life, malloc(200)) == 0);
    for (int k = 0; k < 2; ++k) {
      void* block = NULL;
      pthread_join(pair[k], &block);
      EXPECT(block != NULL);
      free(block);
    }
  }
}

/* ---- fork while other threads allocate and flush streams ---- */
static volatile int stop;
static void* allocate_and_print(void* argument) {
  uint64_t seed = (uint64_t)(uintptr_t)argument + 7;
  struct Block own[64] = {{0}};
  FILE* out = fopen("/dev/null", "w");
  while (!stop) {
    step(&own[next_random(&seed) % 64], &seed);
    if (next_random(&seed) % 16 == 0) fprintf(out, "%d %s\n", 1, "x");
    if (next_random(&seed) % 64 == 0) {
      FILE* other = fopen("/dev/null", "w");
      fputs("y", other);
      fclose(other);
    }
    if (next_random(&seed) % 64 == 0) fflush(NULL);
  }
  for (int i = 0; i < 64; ++i) free(own[i].at);
  fclose(out);
  return NULL;
}
static void* in_handler;
static void handler(void) { /* somebody else's atfork handler allocates */
  free(in_handler);
  in_handler = malloc(1000);
}
static void forks(void) {
  pthread_t all[kThreads];
  pthread_atfork(handler, handler, handler);
  for (int i = 0; i < kThreads; ++i) pthread_create(&all[i], NULL, allocate_and_print, (void*)(uintptr_t)i);
  uint64_t seed = 99;
  struct Block own[64] = {{0}};
  for (int i = 0; i < 50; ++i) {
    for (int k = 0; k < 50; ++k) step(&own[next_random(&seed) % 64], &seed);
    const pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) {
      alarm(60);
      for (int k = 0; k < 200; ++k) step(&own[next_random(&seed) % 64], &seed);
      if (i % 5 == 0) threads(1);
      if (i % 7 == 0) {
        const pid_t grandchild = fork();
        if (grandchild == 0) {
          threads(1);
          _exit(0);
        }
        int status = 1;
        waitpid(grandchild, &status, 0);
        EXPECT(status == 0);
      }
      _exit(0);
    }
    int status = 1;
    waitpid(child, &status, 0);
    EXPECT(status == 0);
  }
  stop = 1;
  for (int i = 0; i < kThreads; ++i) pthread_join(all[i], NULL);
}

/* ---- answers in the corners ---- */
static void* volatile sink;
static void corners(void) {
  const size_t huge = SIZE_MAX / 2 + 1 - 8; /* beyond PTRDIFF_MAX in chunks */
  void* block = NULL;
#define FAILS_WITH(error, call) (errno = 0, (sink = (call)) == NULL && errno == (error))
  EXPECT(FAILS_WITH(ENOMEM, malloc(huge + 8)));
  EXPECT(FAILS_WITH(ENOMEM, malloc(SIZE_MAX)));
  EXPECT(FAILS_WITH(ENOMEM, calloc(SIZE_MAX / 2, 3)));
  EXPECT(FAILS_WITH(ENOMEM, reallocarray(NULL, SIZE_MAX / 2, 3)));
  EXPECT(FAILS_WITH(ENOMEM, malloc((size_t)1 << 46)));
  EXPECT(FAILS_WITH(ENOMEM, pvalloc(SIZE_MAX)));
  EXPECT(FAILS_WITH(ENOMEM, memalign(64, SIZE_MAX - 100)));
  EXPECT(FAILS_WITH(EINVAL, memalign(((size_t)1 << 63) + 1, 10)));
  EXPECT(posix_memalign(&block, 4, 10) == EINVAL && posix_memalign(&block, 48, 10) == EINVAL && posix_memalign(&block, 0, 10) == EINVAL);
  EXPECT(posix_memalign(&block, 64, SIZE_MAX - 5000) == ENOMEM);
  EXPECT(posix_memalign(&block, 4096, 10) == 0 && (uintptr_t)block % 4096 == 0);
  free(block);
  block = malloc(100);
  EXPECT(FAILS_WITH(ENOMEM, realloc(block, SIZE_MAX - 50)));
  memset(block, 1, 100);
  errno = 5;
  EXPECT(realloc(block, 0) == NULL && errno == 5);
  EXPECT((block = malloc(0)) != NULL);
  free(block);
  free(NULL);
  EXPECT(malloc_usable_size(NULL) == 0);
  for (int i = 0; i < 40; ++i) { /* free keeps errno, also where it calls the kernel */
    void* blocks[40];
    for (int k = 0; k < 40; ++k) memset(blocks[k] = malloc(100000), k, 100000);
    void* mapped = malloc(40 << 20);
    for (int k = 0; k < 40; ++k) {
      errno = 1234;
      free(blocks[k]);
      EXPECT(errno == 1234);
    }
    free(mapped);
    EXPECT(errno == 1234);
  }
  EXPECT(sbrk(5000) != (void*)-1); /* somebody else's */
  uint64_t seed = 5;
  struct Block own[64] = {{0}};
  for (int i = 0; i < 20000; ++i) {
    step(&own[next_random(&seed) % 64], &seed);
    if (i % 1000 == 0) EXPECT(sbrk(48) != (void*)-1);
    if (i % 3000 == 0) malloc_trim(0);
  }
  EXPECT(mallopt(M_MMAP_THRESHOLD, 200000) == 1 && mallopt(M_MXFAST, 1000) == 0);
  const struct mallinfo2 info = mallinfo2();
  EXPECT(info.arena > 0 && info.uordblks + info.fordblks == info.arena);
  for (int i = 0; i < 64; ++i) free(own[i].at);
  mallopt(M_PERTURB, 0x5a);
  unsigned char* fresh = malloc(2000);
  EXPECT(fresh[0] == 0xa5 && fresh[1999] == 0xa5);
  free(fresh);
}

int main(int argc, char** argv) {
  const char* test = argc == 2 ? argv[1] : "";
  alarm(120);
  prepare_sharing();
  if (strcmp(test, "threads") == 0) threads(12);
  else if (strcmp(test, "many") == 0) many_threads();
  else if (strcmp(test, "forks") == 0) forks();
  else if (strcmp(test, "corners") == 0) corners();
  else return 2;
  puts("ok");
  return 0;
}
