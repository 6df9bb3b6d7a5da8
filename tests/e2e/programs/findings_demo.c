// Programs with one memory problem each, whose cause is known; with "fixed" as they should be.
//   findings_demo leak|arenas|untouched|fork|sparse|mappings|temporary|trim|slack|fragments|hold [fixed]
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fixed;
static volatile char *sink;

static void busy(double seconds) {
  struct timespec from, now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
  do clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  while ((double)(now.tv_sec - from.tv_sec) + 1e-9 * (double)(now.tv_nsec - from.tv_nsec) < seconds);
}

// Each request leaves a record behind; fixed: it does not.
__attribute__((noinline)) static void *keep_record(size_t bytes) { return memset(malloc(bytes), 1, bytes); }
static void leak(void) {
  for (int i = 0; i < 4000; ++i) {
    void *record = keep_record(8000);
    busy(0.0001);
    if (fixed) free(record);
  }
}

// Eight threads have a large phase each, one after another; their arenas keep it. Fixed by arena_max, not here.
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t all_there;
__attribute__((noinline)) static void *burst(void *unused) {
  enum { kBlocks = 4000 };
  sink = malloc(24);  // its arena is chosen here
  pthread_barrier_wait(&all_there);
  pthread_mutex_lock(&turn);
  void **blocks = malloc(kBlocks * sizeof(void *));
  for (int i = 0; i < kBlocks; ++i) blocks[i] = memset(malloc(4000), 1, 4000);
  void *last = malloc(2000);  // above them
  for (int i = 0; i < kBlocks; ++i) free(blocks[i]);
  free(blocks);
  pthread_mutex_unlock(&turn);
  pthread_barrier_wait(&all_there);
  (void)last;
  return unused;
}
static void arenas(void) {
  enum { kThreads = 8 };
  pthread_t threads[kThreads];
  pthread_barrier_init(&all_there, NULL, kThreads);
  for (int i = 0; i < kThreads; ++i) pthread_create(&threads[i], NULL, burst, NULL);
  for (int i = 0; i < kThreads; ++i) pthread_join(threads[i], NULL);
}

// Buffers of 8 MiB for messages of at most 64 KiB.
__attribute__((noinline)) static void *make_buffer(void) { return malloc(fixed ? 65536 : 8 << 20); }
static void untouched(void) {
  for (int i = 0; i < 16; ++i) memset(make_buffer(), 1, 65536);
}

// A child that only runs another program, while the parent goes on writing to its memory. Fixed: posix_spawn.
__attribute__((noinline)) static void write_all(char *memory, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 4096) memory[i] += 1;
}
static void forks(void) {
  enum { kBytes = 32 << 20 };
  char *memory = malloc(kBytes);
  write_all(memory, kBytes);
  for (int i = 0; i < 8; ++i) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    pid_t child = 0;
    if (fixed) {
      posix_spawn_file_actions_t actions;
      posix_spawn_file_actions_init(&actions);
      posix_spawn_file_actions_adddup2(&actions, ends[0], 0);
      posix_spawn_file_actions_addclose(&actions, ends[1]);
      char *words[] = {"cat", NULL}, *environment[] = {NULL};
      if (posix_spawn(&child, "/bin/cat", &actions, NULL, words, environment) != 0) abort();
    } else {
      child = fork();
      if (child == 0) {
        close(ends[1]);
        char byte;
        if (read(ends[0], &byte, 1) != 0) _exit(1);
        _exit(0);
      }
    }
    close(ends[0]);
    write_all(memory, kBytes);
    close(ends[1]);
    waitpid(child, NULL, 0);
  }
}

// 4,096 entries of a table indexed by a number of 33 bits. Fixed: side by side.
static void sparse(void) {
  char *table = mmap(NULL, (size_t)8 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  for (size_t i = 0; i < 4096; ++i) table[i * (fixed ? 4096 : 2 << 20)] = 1;
}

// A guard behind each of 20,000 pages. Fixed: none.
static void mappings(void) {
  enum { kPages = 20000 };
  char *memory = mmap(NULL, 2 * kPages * 4096UL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t i = 0; i < kPages; ++i) {
    memory[2 * i * 4096] = 1;
    if (!fixed && mprotect(memory + (2 * i + 1) * 4096, 4096, PROT_NONE) != 0) abort();
  }
}

// A buffer for each line. Fixed: one for all.
__attribute__((noinline)) static char *make_line(void) { return malloc(200); }
static void temporary(void) {
  char *line = fixed ? make_line() : NULL;
  for (int i = 0; i < 3000000; ++i) {
    if (!fixed) line = make_line();
    sink = line;
    *sink = (char)i;
    if (!fixed) free(line);
  }
}

// malloc_trim after every phase, though the next needs the memory again. Fixed: without.
static void trim(void) {
  enum { kBlocks = 4000 };
  static void *blocks[kBlocks];
  for (int round = 0; round < 100; ++round) {
    for (int i = 0; i < kBlocks; ++i) blocks[i] = memset(malloc(2000), 1, 2000);
    if (round == 0) sink = malloc(100);  // above them: nothing is trimmed by itself
    for (int i = 0; i < kBlocks; ++i) free(blocks[i]);
    if (!fixed) malloc_trim(0);
  }
}

// Huge pages for the heap, whose top just began another one. Fixed: without.
static void slack(void) {
  mallopt(M_TOP_PAD, 16 << 20);
  char *first = malloc(1000);
  const uintptr_t huge = 2 << 20, begin = ((uintptr_t)first + 4095) & ~(uintptr_t)4095;
  if (!fixed) madvise((void *)begin, (size_t)((uintptr_t)sbrk(0) - begin), MADV_HUGEPAGE);
  const uintptr_t until = (((uintptr_t)first + 2 * huge) & ~(huge - 1)) + 16384;
  for (char *block = first; (uintptr_t)block < until; block = malloc(1000)) memset(block, 1, 1000);
}

// One block of twenty stays. Fixed: those that stay are made first, together.
__attribute__((noinline)) static void *make_kept(void) { return memset(malloc(200), 1, 200); }
__attribute__((noinline)) static void *make_passing(void) { return memset(malloc(200), 1, 200); }
static void fragments(void) {
  enum { kBlocks = 100000, kKeepOneOf = 20 };
  static void *passing[kBlocks];
  if (fixed) for (int i = 0; i < kBlocks; i += kKeepOneOf) make_kept();
  for (int i = 0; i < kBlocks; ++i) {
    if (i % kKeepOneOf == 0) {
      if (!fixed) make_kept();
    } else {
      passing[i] = make_passing();
    }
  }
  for (int i = 0; i < kBlocks; ++i) free(passing[i]);
  free(memset(malloc(70000), 1, 70000));  // a large one: what is free next to top is trimmed
}

// 256 MiB it cannot do without.
__attribute__((noinline)) static void *hold_part(size_t bytes) { return memset(malloc(bytes), 1, bytes); }
static void hold(void) {
  for (int i = 0; i < 64; ++i) sink = hold_part(4 << 20);
}

int main(int argc, char **argv) {
  static const struct {
    const char *name;
    void (*run)(void);
  } cases[] = {{"leak", leak}, {"arenas", arenas}, {"untouched", untouched}, {"fork", forks}, {"sparse", sparse}, {"mappings", mappings}, {"temporary", temporary}, {"trim", trim}, {"slack", slack}, {"fragments", fragments}, {"hold", hold}};
  fixed = argc > 2 && strcmp(argv[2], "fixed") == 0;
  for (size_t i = 0; argc > 1 && i < sizeof cases / sizeof *cases; ++i) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    cases[i].run();
    return 0;
  }
  fprintf(stderr, "wanted one of the cases of findings_demo.c, found %s\n", argc > 1 ? argv[1] : "nothing");
  return 2;
}
