/* A program that does nothing but one thing the kernel does for it: kernel_loop WHAT COUNT   prints nanoseconds for each.
   memory: mmap and munmap of a page    other: a system call that is not about memory    fault: first writes to pages
   fork: a child that ends at once */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const long count = atol(argv[2]);
  char* pages = NULL;
  if (strcmp(argv[1], "fault") == 0) {
    pages = mmap(NULL, (size_t)count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    madvise(pages, (size_t)count * 4096, MADV_NOHUGEPAGE);
    for (long i = 0; i < count; ++i) pages[i * 4096] = 1; /* the machine's own memory is warm after this */
    madvise(pages, (size_t)count * 4096, MADV_DONTNEED);
  }
  const double start = now();
  for (long i = 0; i < count; ++i) {
    if (pages != NULL) {
      pages[i * 4096] = 1;
    } else if (strcmp(argv[1], "memory") == 0) {
      munmap(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 4096);
    } else if (strcmp(argv[1], "other") == 0) {
      syscall(SYS_getppid);
    } else {
      const pid_t child = fork();
      if (child == 0) _exit(0);
      waitpid(child, NULL, 0);
    }
  }
  printf("%.1f\n", (now() - start) / (double)count / (strcmp(argv[1], "memory") == 0 ? 2 : 1));
  return 0;
}
