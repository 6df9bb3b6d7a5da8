// One of each kind of memory a ledger tells apart, changing all the time: huge pages, thread arenas and stacks, shared and file mappings that are
// written, copies after fork, blocks with their own mapping, memory given back.   memory_zoo FILE SECONDS SEED
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { kSlots = 2000, kPage = 4096, kFilePages = 2048, kHuge = 2 << 20 };
static double until;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
static uint32_t draw(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(*state >> 33);
}

// Blocks come and go; some are written to their end.
static void use_heap(void **slots, uint64_t *state, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    void **slot = &slots[draw(state) % kSlots];
    free(*slot);
    const uint32_t kind = draw(state) % 1000;
    const size_t bytes = kind < 900 ? draw(state) % 500 + 1 : kind < 995 ? draw(state) % 20000 : draw(state) % 600000;
    *slot = malloc(bytes);
    memset(*slot, 1, draw(state) % 2 ? bytes : bytes / 3);
  }
}

static void *thread(void *seed) {
  uint64_t state = (uintptr_t)seed;
  static __thread void *slots[kSlots];
  char on_stack[50000];
  while (now() < until) {
    memset(on_stack, (int)draw(&state), draw(&state) % sizeof on_stack);
    use_heap(slots, &state, 200);
    usleep(500);
  }
  for (int i = 0; i < kSlots; ++i) free(slots[i]);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  until = now() + atof(argv[2]);
  uint64_t state = strtoull(argv[3], NULL, 10);
  const int fd = open(argv[1], O_RDWR);
  if (fd < 0) return 2;
  char *file = mmap(NULL, kFilePages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char *copy = mmap(NULL, kFilePages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char *shared = mmap(NULL, kFilePages * kPage, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  char *own = mmap(NULL, 8 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char *huge = (char *)(((uintptr_t)mmap(NULL, 9 * kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) + kHuge - 1) & ~(uintptr_t)(kHuge - 1));
  if (file == MAP_FAILED || copy == MAP_FAILED || shared == MAP_FAILED || own == MAP_FAILED) return 2;
  madvise(huge, 8 * kHuge, MADV_HUGEPAGE);
  static void *slots[kSlots];
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; ++i) pthread_create(&threads[i], NULL, thread, (void *)(i + 7));
  while (now() < until) {
    use_heap(slots, &state, 300);
    for (int i = 0; i < 20; ++i) {
      file[draw(&state) % kFilePages * kPage] = 1;
      copy[draw(&state) % kFilePages * kPage] = 1;
      shared[draw(&state) % kFilePages * kPage] = 1;
      own[draw(&state) % (8 * kHuge)] = 1;
      if (copy[draw(&state) % kFilePages * kPage] == 77) abort();
    }
    huge[draw(&state) % (8 * kHuge)] = 1;
    switch (draw(&state) % 40) {
      case 0: madvise(own, 4 * kHuge, MADV_DONTNEED); break;
      case 1: madvise(huge + draw(&state) % 8 * kHuge + 512 * 1024, 64 * kPage, MADV_DONTNEED); break;
      case 2: malloc_trim(0); break;
      case 3: {
        const pid_t child = fork();
        if (child == 0) {
          usleep(5000);
          _exit(0);
        }
        for (int i = 0; i < 300; ++i) own[draw(&state) % (8 * kHuge)] = 2;
        use_heap(slots, &state, 100);
        waitpid(child, NULL, 0);
        break;
      }
      default: break;
    }
    usleep(300);
  }
  for (int i = 0; i < 3; ++i) pthread_join(threads[i], NULL);
  return 0;
}
