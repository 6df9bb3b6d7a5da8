/* What heap_fork_driver (real glibc) and heap_fork_test (the model) do to malloc before and after a fork: the same seed is the
   same operations: malloc, calloc or memalign into an empty slot, free or realloc of a full one. Plain C, as in heap_wire.h. */
#ifndef FAULTLINE_TESTS_DIFF_HEAP_FORK_OPS_H
#define FAULTLINE_TESTS_DIFF_HEAP_FORK_OPS_H

#include <stdint.h>

enum { kForkSlots = 64, kForkOps = 600, kForkPhases = 3 }; /* phases: before fork, child, parent after fork */

struct ForkAnswers {
  uint64_t heap_start;
  uint64_t address[kForkPhases][kForkOps]; /* user address of the operation's block, 0 for a free */
};

static inline uint64_t fork_random(uint64_t* state) {
  *state ^= *state << 13;
  *state ^= *state >> 7;
  *state ^= *state << 17;
  return *state;
}

/* Small ones mostly, some hundred kilobytes, and a few large enough for a mapping of their own. */
static inline uint64_t fork_size(uint64_t* state) {
  const uint64_t kind = fork_random(state) % 16;
  const uint64_t r = fork_random(state);
  if (kind < 12) return r % 3000;
  if (kind < 15) return r % 100000;
  return 140000 + r % 300000;
}

static inline uint64_t fork_alignment(uint64_t size) { return UINT64_C(32) << size % 8; }

#endif
