// What all arenas of a process have in common: the parameters, the mapped chunks, the heaps of thread arenas. glibc keeps
// these in struct malloc_par mp_ and a few variables of malloc/arena.c.
#pragma once

#include "heap/mapped_chunks.h"
#include "heap/settings.h"
#include "heap/thread_heaps.h"

namespace faultline::heap {

template <MemoryProvider Memory>
struct Common {
  Common(Memory& on, const Parameters& parameters)
      : memory(on), version(parameters.version), settings(parameters), mapped(on), heaps(on, settings, version) {}
  // The same in another memory, which holds the same: what fork leaves a child.
  Common(Memory& on, const Common& parent)
      : memory(on), version(parent.version), settings(parent.settings), mapped(on, parent.mapped), heaps(on, settings, parent.heaps) {}

  void assign(const Common& saved) {  // of the same memory
    settings = saved.settings;
    mapped.assign(saved.mapped);
    heaps.assign(saved.heaps);
  }

  Memory& memory;
  const Version version;
  Settings settings;
  MappedChunks<Memory> mapped;
  ThreadHeaps<Memory> heaps;
};

}  // namespace faultline::heap
