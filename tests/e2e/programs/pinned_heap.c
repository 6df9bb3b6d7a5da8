/* A heap that one late block holds: everything else in it is freed. pinned_heap main|thread [free|trim]
   With "free" the block goes too, and the program prints by how many bytes the arenas got smaller for it; with "trim" it
   prints what malloc_trim(0) gives back of the arena by moving the break. */
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { kBlocks = 400, kBlockBytes = 40000 };
static void* bulk[kBlocks];
static int frees, trims;

static void allocate_bulk(void) {
  for (int i = 0; i < kBlocks; ++i) memset(bulk[i] = malloc(kBlockBytes), 1, kBlockBytes);
}

static void* allocate_pin(void) { /* too large for the thread's cache: its free() reaches the heap */
  void* const pin = malloc(3000);
  memset(pin, 1, 3000);
  return pin;
}

static void* work(void* unused) {
  static char line[64];
  allocate_bulk();
  void* const pin = allocate_pin();
  for (int i = 0; i < kBlocks; ++i) free(bulk[i]);
  const size_t before = mallinfo2().arena;
  if (frees) free(pin);
  if (trims) malloc_trim(0);
  const int length = snprintf(line, sizeof line, "%zu\n", before - mallinfo2().arena);
  if (write(1, line, (size_t)length) != length) abort();
  return unused;
}

int main(int argc, char** argv) {
  frees = argc > 2 && strcmp(argv[2], "free") == 0;
  trims = argc > 2 && strcmp(argv[2], "trim") == 0;
  if (argc > 1 && strcmp(argv[1], "thread") == 0) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, NULL) != 0) return 1;
    pthread_join(thread, NULL);
    _exit(0);
  }
  work(NULL);
  _exit(0);
}
