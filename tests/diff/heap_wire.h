/* What heap_driver (real glibc) and heap_diff_test (the model) share: operations in, answers and system calls out,
   all in one memfd that both map. Plain C, because the driver must not pull in libstdc++ (it allocates at start). */
#ifndef FAULTLINE_TESTS_DIFF_HEAP_WIRE_H
#define FAULTLINE_TESTS_DIFF_HEAP_WIRE_H

#include <stdint.h>

enum { kSlots = 32768, kSharedFd = 200 };

/* An operation on a slot: allocating into a full slot and freeing an empty one do nothing, so that any subset of a
   trace is a trace. */
enum OpKind {
  kOpMalloc,    /* slot, a = size */
  kOpCalloc,    /* slot, a = count, b = size */
  kOpRealloc,   /* slot, a = size; an empty slot is realloc(NULL) */
  kOpFree,      /* slot */
  kOpMemalign,  /* slot, a = alignment, b = size; posix_memalign, aligned_alloc and valloc below end in the same code */
  kOpPosixMemalign,
  kOpAlignedAlloc,
  kOpValloc,    /* slot, a = size */
  kOpPvalloc,   /* slot, a = size */
  kOpTrim,      /* a = pad */
  kOpMallopt,   /* a = parameter, b = value, both as int64 */
  kOpSbrk,      /* a = bytes: somebody else's sbrk */
  kOpRefuse,    /* a = mask of RefuseBits, b = how many such calls fail from now on */
  kOpWalk,      /* slot; answer: hash of all chunk headers of the main heap's first segment and of the slot's thread arena */
  kOpResident,  /* slot; answer: hash of which pages of the heap (and of the slot's mapping or thread arena) are resident */
  kOpThreadEnd, /* thread */
  kOpTouch,     /* slot, a = offset, b = bytes, both modulo what the block has: the program writes there, a byte a page */
  kOpAccount,   /* a = AccountFact, b = arena; only with tunables that leave residency to be seen */
  kOpKinds
};
enum RefuseBits { kRefuseBrk = 1, kRefuseMmap = 2, kRefuseMremap = 4, kRefuseMprotect = 8 };

/* What glibc says of its heaps (mallinfo2, malloc_info), what mincore says of their pages, and what malloc_trim(0) does to
   them in a child that forked for it. */
enum AccountFact {
  kFactArena, kFactOrdblks, kFactSmblks, kFactHblks, kFactHblkhd, kFactFsmblks, kFactUordblks, kFactFordblks, kFactKeepcost,
  kFactArenas,      /* how many malloc_info lists */
  kFactFastCount, kFactFastBytes, kFactRestCount, kFactRestBytes, kFactSystemBytes, /* of arena b in the order of malloc_info */
  kFactLiveTouched, kFactLiveUntouched, /* requested bytes of all slots in pages that are resident, and not */
  kFactTrimDrop,     /* by how much malloc_trim(0) moves the break down, */
  kFactTrimAdvised,  /* how much it gives back by madvise, */
  kFactTrimResident, /* and how many bytes of resident pages it takes away by both */
  kFactKeptWithout,  /* what malloc would keep of its arenas after malloc_trim(0), had all heap blocks of owner b been freed before */
  kFactFallWithout,  /* how much smaller the arenas get by frees alone, lowest first, of the slot's block and all above it in its arena */
  kFacts
};
enum { kOwners = 4 }; /* slot % kOwners is who owns a block; nobody is freed as owner kOwners */

/* thread 0 is the main thread; any other begins with its first operation. Threads take turns: one operation at a time. */
enum { kThreads = 20 };
struct Op {
  uint32_t kind;
  uint16_t slot, thread;
  uint64_t a, b;
};

struct Answer {
  uint64_t result; /* user address, or a return value */
  uint64_t head;   /* size word of the block, 0 without one */
  uint64_t offset; /* prev_size word of a mapped block */
  uint64_t brk, top, top_size, system_mem, max_system_mem;
  uint64_t mmapped_bytes, mmap_threshold, trim_threshold;
  uint64_t arena_top, arena_top_size, arena_system_mem, arena_max_system_mem; /* of the block's thread arena, else 0 */
  uint32_t n_mmaps, calls; /* calls: system calls logged so far */
};

enum CallNumber { kCallMmap = 9, kCallMprotect = 10, kCallMunmap = 11, kCallBrk = 12, kCallMremap = 25, kCallMadvise = 28 };

struct Call {
  uint64_t number, address, length, extra; /* extra: mremap's new length, madvise's advice */
  uint64_t result;
};

enum DriverStatus { kRunning = 0, kDone = 1, kNotThisGlibc = 2, kNoSeccomp = 3, kLogFull = 4, kBadCheck = 5 };

struct Shared {
  uint32_t status, op_count, ops_done, call_capacity;
  uint64_t bytes, answers_offset, calls_offset; /* ops follow this header */
  uint64_t start_brk, shared_at;                /* in the driver */
  uint32_t call_count, check_residency;
  uint64_t trim_drop, trim_advised, trim_resident, kept; /* from the child that tries malloc_trim */
};

/* Bytes an allocating operation asks for. */
static inline uint64_t asked_by(const struct Op* op) {
  switch (op->kind) {
    case kOpCalloc: return op->a * op->b;
    case kOpMemalign: case kOpPosixMemalign: case kOpAlignedAlloc: return op->b;
    default: return op->a;
  }
}

static inline uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
  return hash ^ (hash >> 29);
}

#endif
