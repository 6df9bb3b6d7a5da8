/* Touches as many pages as it is told, of regions whose places it names: what `faultline stat` and `map` say can be known beforehand.
 *
 *   live_touch THREADS
 * prints `NAME ADDRESS PAGES` for each region and `ready`. Then it obeys lines on standard input, and answers each with `done`:
 *   tNNN  write so many more pages of the anonymous region        rNNN  read so many more pages of the other one (the zero page)
 *   fNNN  read so many more pages of a shared mapping of its own   dNNN  give back the first pages of the anonymous region
 * No stdio, and nothing is touched for the first time between two commands but what was asked for. */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { kPages = 4096, kPage = 4096 };
static pthread_barrier_t started;

static void* thread(void* unused) {
  volatile char* volatile block = malloc(3000000); /* an arena of its own, and 2.9 MiB of it */
  for (size_t i = 0; i < 3000000; i += kPage) block[i] = 1;
  pthread_barrier_wait(&started);
  for (;;) pause();
  return unused;
}

static char* region(const char* name, int flags) {
  char* at = mmap(NULL, (size_t)kPages * kPage, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) exit(2);
  madvise(at, (size_t)kPages * kPage, MADV_NOHUGEPAGE);
  printf("%s %lx %d\n", name, (unsigned long)at, kPages);
  return at;
}

static size_t number(const char* text) {
  size_t value = 0;
  for (; *text >= '0' && *text <= '9'; ++text) value = value * 10 + (size_t)(*text - '0');
  return value;
}

int main(int argc, char** argv) {
  const unsigned threads = argc > 1 ? (unsigned)atoi(argv[1]) : 0;
  mallopt(M_MMAP_THRESHOLD, 4 << 20); /* the threads' blocks lie in arenas */
  prctl(PR_SET_NAME, "live) t (uch", 0, 0, 0);
  pthread_barrier_init(&started, NULL, threads + 1);
  for (unsigned i = 0; i < threads; ++i) {
    pthread_t id;
    if (pthread_create(&id, NULL, thread, NULL) != 0) return 2;
  }
  pthread_barrier_wait(&started);
  volatile char* written = region("written", MAP_PRIVATE);
  mprotect((void*)region("gap", MAP_PRIVATE), (size_t)kPages * kPage, PROT_NONE); /* keeps the regions from being one mapping */
  volatile char* read_only = region("read", MAP_PRIVATE);
  volatile char* shared = region("shared", MAP_SHARED);
  fputs("ready\n", stdout);
  fflush(stdout);
  static char line[4096];
  memset(line, 0, sizeof line);
  size_t w = 0, r = 0, s = 0;
  for (;;) {
    const ssize_t got = read(0, line, sizeof line - 1);
    if (got <= 0) return 0;
    line[got] = 0;
    const size_t pages = number(line + 1);
    volatile char sink = 0;
    if (line[0] == 't') for (size_t end = w + pages; w < end; ++w) written[w * kPage] = 1;
    if (line[0] == 'r') for (size_t end = r + pages; r < end; ++r) sink += read_only[r * kPage];
    if (line[0] == 'f') for (size_t end = s + pages; s < end; ++s) sink += shared[s * kPage];
    if (line[0] == 'd') madvise((void*)written, pages * kPage, MADV_DONTNEED);
    if (write(1, "done\n", 5) != 5) return 2;
  }
}
