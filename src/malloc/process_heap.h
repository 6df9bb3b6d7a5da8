// The one allocator of this process, in static storage: nothing constructs it before the first call, nothing destroys it.
#pragma once

#include <new>

#include "heap/allocator.h"
#include "heap/on/kernel_memory.h"
#include "malloc/kernel_host.h"

namespace faultline::allocator {

using Heap = heap::Allocator<heap::KernelMemory, KernelHost>;

struct HeapStorage {
  alignas(64) unsigned char bytes[sizeof(Heap)];
};
extern HeapStorage heap_storage;

// Only after start_heap(); a thread that has its Thread knows that it has been called.
inline Heap& process_heap() { return *std::launder(reinterpret_cast<Heap*>(heap_storage.bytes)); }

// Makes the allocator if there is none yet. True for the one call that did.
bool start_heap();

}  // namespace faultline::allocator
