// BlockWatch: what the program changed in a sample of its blocks of a page and more. What such a block holds when it is given
// is remembered as short hashes in memory of our own, and compared when it goes or the process ends. Nothing of the program's
// is written, and no page of it comes in: what is not resident is not read.
#pragma once

#include <cstdint>

#include "record/shim/ring.h"

namespace faultline::shim {

inline constexpr std::uint64_t kSmallestWatched = 4096;  // chunk bytes

// Once per process image; forked children inherit what is remembered.
void make_block_watch();

// All of these with a busy ring and for chunks of kSmallestWatched or more, of glibc's.
// A block was given. site: whatever tells call sites apart. fresh: if it is mmapped, its mapping is new.
void watch_block(ThreadRing& ring, std::uint64_t pointer, std::uint64_t site, bool fresh);
// It will be freed or reallocated: writes a contents record if it was watched.
void record_contents(ThreadRing& ring, std::uint64_t pointer);
// The process ends: the same for all that is still watched.
void record_contents_at_exit(ThreadRing& ring);

}  // namespace faultline::shim
