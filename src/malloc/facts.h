/* What a test wants to know of the allocator in a process: libfaultline-malloc.so exports faultline_malloc_facts(). The same
   numbers stand in glibc's struct malloc_state and struct malloc_par. Plain C. */
#ifndef FAULTLINE_MALLOC_FACTS_H
#define FAULTLINE_MALLOC_FACTS_H

#include <stdint.h>

struct FaultlineArenaFacts {
  uint64_t top, system_mem, max_system_mem; /* top is 0 before the first growth */
};

struct FaultlineMallocFacts {
  struct FaultlineArenaFacts main;
  uint64_t heap_start, mmapped_bytes, mmap_threshold, trim_threshold, explicit_huge_page;
  uint32_t n_mmaps;
  struct FaultlineArenaFacts block; /* of the arena that the block is in, if that is not the main one: else zeros */
};

#ifdef __cplusplus
extern "C"
#endif
void faultline_malloc_facts(const void* block, struct FaultlineMallocFacts* facts);

#endif
