/* heap_fork_driver SEED: random malloc calls before a fork, in the child, and in the parent after it; the addresses go to
   standard output. Exit status 77: another glibc than the model's. */
#include <gnu/libc-version.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "heap_fork_ops.h"

static void* slots[kForkSlots];

static void run(uint64_t seed, uint64_t* answers) {
  uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
  for (int i = 0; i < kForkOps; ++i) {
    void** slot = &slots[fork_random(&state) % kForkSlots];
    const uint64_t kind = fork_random(&state) % 4;
    const uint64_t size = fork_size(&state);
    if (*slot == NULL) {
      *slot = kind == 1 ? calloc(1, size) : kind == 2 ? memalign(fork_alignment(size), size) : malloc(size);
    } else if (kind == 0) {
      *slot = realloc(*slot, size + 1);
    } else {
      free(*slot);
      *slot = NULL;
    }
    answers[i] = (uint64_t)*slot;
  }
}

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  if (strcmp(gnu_get_libc_version(), "2.36") != 0) return 77;
  const uint64_t seed = strtoull(argv[1], NULL, 10);
  struct ForkAnswers* all = mmap(NULL, sizeof *all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return 2;
  all->heap_start = (uint64_t)sbrk(0);
  run(seed, all->address[0]);
  const pid_t child = fork();
  if (child < 0) return 2;
  if (child == 0) {
    run(seed + 1, all->address[1]);
    _exit(0);
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child || status != 0) return 2;
  run(seed + 2, all->address[2]);
  const char* at = (const char*)all;
  for (size_t left = sizeof *all; left > 0;) {
    const ssize_t wrote = write(1, at, left);
    if (wrote <= 0) return 2;
    at += wrote;
    left -= (size_t)wrote;
  }
  return 0;
}
