/* What a test wants to know of the allocator in a process: libfaultline-malloc.so exports these two functions. The
   same numbers stand in glibc's struct malloc_state and struct malloc_par. Plain C. */
#ifndef FAULTLINE_MALLOC_FACTS_H
#define FAULTLINE_MALLOC_FACTS_H

#include <stdint.h>

struct FaultlineArenaFacts {
  uint64_t top, system_mem, max_system_mem; /* top is 0 before the first growth */
};

struct FaultlineMallocFacts {
  struct FaultlineArenaFacts main, arena; /* arena: of the one asked for, zeros for 0 */
  uint64_t heap_start, mmapped_bytes, mmap_threshold, trim_threshold, explicit_huge_page;
  uint32_t n_mmaps;
};

#ifdef __cplusplus
extern "C" {
#endif
uint64_t faultline_malloc_arena(const void* block); /* a number for the thread arena it is in, 0 for any other block */
void faultline_malloc_facts(uint64_t arena, struct FaultlineMallocFacts* facts);
#ifdef __cplusplus
}
#endif

#endif
