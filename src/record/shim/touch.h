// Residency seen by mincore(2), or where a mapping is mostly holes by PAGEMAP_SCAN, as run lengths.
#pragma once

#include <cstdint>

#include "record/shim/ring.h"

namespace faultline::shim {

// Before free or realloc of a glibc block of 16 KiB or more: every mmapped block, a sample of the heap blocks.
void record_touch(ThreadRing& ring, std::uint64_t pointer);

// Records of `kind` for [start, end), both page aligned. False if the kernel does not say.
bool write_residency(ThreadRing& ring, wire::RecordKind kind, std::uint64_t start, std::uint64_t end);

}  // namespace faultline::shim
