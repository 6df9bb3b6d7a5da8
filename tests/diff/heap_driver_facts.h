/* Part of heap_driver.c: what glibc says of its heaps, what mincore says of their pages, and what malloc_trim would do. */
#ifndef FAULTLINE_TESTS_DIFF_HEAP_DRIVER_FACTS_H
#define FAULTLINE_TESTS_DIFF_HEAP_DRIVER_FACTS_H

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/wait.h>

extern struct mallinfo2 mallinfo2(void) __attribute__((weak)); /* 2.33 */

static uint64_t resident_bytes(uint64_t start, uint64_t end) {
  uint64_t sum = 0;
  for (uint64_t low = start & ~UINT64_C(4095); low < end;) {
    uint64_t pages = (end - low + 4095) >> 12;
    if (pages > sizeof residency) pages = sizeof residency;
    if (driver_syscall(SYS_mincore, low, pages << 12, (uint64_t)residency, 0, 0, 0) != 0) return 0xbad;
    for (uint64_t page = 0; page < pages; ++page) {
      const uint64_t at = low + (page << 12), from = at < start ? start : at, to = at + 4096 > end ? end : at + 4096;
      if (residency[page] & 1) sum += to - from;
    }
    low += pages << 12;
  }
  return sum;
}

/* In a child that tries malloc_trim: its calls are made, weighed and not written down. */
static int trying;
static uint64_t try_call(uint64_t number, const greg_t* r) {
  const uint64_t start = (uint64_t)r[REG_RDI], old_break = (uint64_t)sbrk(0);
  const uint64_t end = number == kCallBrk ? old_break : start + (uint64_t)r[REG_RSI];
  const uint64_t before = start < end ? resident_bytes(start, end) : 0;
  const uint64_t result = driver_syscall(number, (uint64_t)r[REG_RDI], (uint64_t)r[REG_RSI], (uint64_t)r[REG_RDX], 0, 0, 0);
  if (number == kCallMadvise) {
    shared->trim_advised += end - start;
    shared->trim_resident += before - resident_bytes(start, end);
  } else if (number == kCallBrk && result == start) {
    shared->trim_drop += old_break - start;
    shared->trim_resident += before;
  }
  return result;
}

static int in_heap(const void* block) { return block != NULL && (((const uint64_t*)block)[-1] & 2) == 0; }

static int by_address(const void* x, const void* y) {
  const uint64_t a = (uint64_t) * (void* const*)x, b = (uint64_t) * (void* const*)y;
  return a < b ? -1 : a > b;
}

/* What happens in a child: frees and malloc_trim(0), or the frees alone. */
static void try_malloc_trim(const struct Op* op) {
  shared->trim_drop = shared->trim_advised = shared->trim_resident = 0;
  const pid_t child = (pid_t)syscall(SYS_fork); /* libc's fork would hand the arenas of other threads around */
  if (child == 0) {
    trying = 1;
    if (op->a == kFactFallWithout) {
      static void* doomed[kSlots];
      unsigned n = 0;
      const void* lowest = slots[op->slot % kSlots];
      for (unsigned i = 0; i < kSlots; ++i) {
        if (in_heap(lowest) && in_heap(slots[i]) && slots[i] >= lowest && arena_of(slots[i]) == arena_of(lowest)) doomed[n++] = slots[i];
      }
      for (unsigned gap = n / 2; gap > 0; gap /= 2) { /* a Shell sort: qsort would allocate */
        for (unsigned i = gap; i < n; ++i) {
          for (unsigned j = i; j >= gap && by_address(&doomed[j - gap], &doomed[j]) > 0; j -= gap) {
            void* const swap = doomed[j];
            doomed[j] = doomed[j - gap];
            doomed[j - gap] = swap;
          }
        }
      }
      const uint64_t before = mallinfo2().arena;
      for (unsigned i = 0; i < n; ++i) free(doomed[i]);
      shared->kept = before - mallinfo2().arena;
      _exit(0);
    }
    for (unsigned i = 0; op->a == kFactKeptWithout && i < kSlots; ++i) {
      if (i % kOwners == op->b && in_heap(slots[i])) free(slots[i]);
    }
    shared->trim_drop = shared->trim_advised = shared->trim_resident = 0;
    malloc_trim(0);
    shared->kept = mallinfo2().arena - shared->trim_advised;
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static const char* text_of_malloc_info(void) {
  static char text[1 << 20];
  static int ready;
  if (!ready) setvbuf(stdout, text, _IOFBF, sizeof text);
  ready = 1;
  __fpurge(stdout);
  memset(text, 0, sizeof text);
  malloc_info(0, stdout);
  return text;
}

static uint64_t number_after(const char* text, const char* what, const char* key) {
  text = text == NULL ? NULL : strstr(text, what);
  text = text == NULL ? NULL : strstr(text, key);
  return text == NULL ? 0 : strtoull(text + strlen(key), NULL, 10);
}

static uint64_t info_fact(uint32_t fact, uint64_t number) {
  const char* heap = text_of_malloc_info();
  uint64_t heaps = 0;
  for (const char* at = heap; (at = strstr(at, "<heap nr=")) != NULL; ++at) {
    if (fact != kFactArenas && heaps == number) heap = at;
    ++heaps;
  }
  if (fact == kFactArenas) return heaps;
  if (number >= heaps) return 0;
  switch (fact) {
    case kFactFastCount: return number_after(heap, "type=\"fast\"", "count=\"");
    case kFactFastBytes: return number_after(heap, "type=\"fast\"", "size=\"");
    case kFactRestCount: return number_after(heap, "type=\"rest\"", "count=\"");
    case kFactRestBytes: return number_after(heap, "type=\"rest\"", "size=\"");
    default: return number_after(heap, "<system type=\"current\"", "size=\"");
  }
}

static uint64_t live_fact(int touched) {
  uint64_t sum = 0;
  for (unsigned i = 0; i < kSlots; ++i) {
    if (slots[i] == NULL) continue;
    const uint64_t resident = resident_bytes((uint64_t)slots[i], (uint64_t)slots[i] + requested[i]);
    sum += touched ? resident : requested[i] - resident;
  }
  return sum;
}

static uint64_t account(const struct Op* op) {
  if (op->a <= kFactKeepcost) {
    const struct mallinfo2 info = mallinfo2();
    const uint64_t facts[] = {info.arena,   info.ordblks,  info.smblks,   info.hblks,   info.hblkhd,
                              info.fsmblks, info.uordblks, info.fordblks, info.keepcost};
    return facts[op->a];
  }
  if (op->a <= kFactSystemBytes) return info_fact((uint32_t)op->a, op->b);
  if (op->a <= kFactLiveUntouched) return live_fact(op->a == kFactLiveTouched);
  try_malloc_trim(op);
  if (op->a == kFactKeptWithout || op->a == kFactFallWithout) return shared->kept;
  return op->a == kFactTrimDrop ? shared->trim_drop : op->a == kFactTrimAdvised ? shared->trim_advised : shared->trim_resident;
}

#endif
