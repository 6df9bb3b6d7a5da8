// The malloc chunk: sizes, flag bits, and where a request ends up in the bins. glibc malloc/malloc.c, struct malloc_chunk.
//
//   chunk ->  +0   prev_size     size of the chunk below, valid only while that one is free (else its user data)
//             +8   size | flags
//   user  ->  +16  fd            free chunks only from here on
//             +24  bk            (tcache: +16 next, +24 key)
//             +32  fd_nextsize   large free chunks only
//             +40  bk_nextsize
#pragma once

#include <cstdint>

#include "heap/memory_provider.h"

namespace faultline::heap {

inline constexpr std::uint64_t kChunkAlignment = 16;
inline constexpr std::uint64_t kChunkHeader = 16;  // prev_size and size
inline constexpr std::uint64_t kMinChunk = 32;
inline constexpr std::uint64_t kFreeChunkStruct = 48;  // all six words; malloc_trim never gives these away
inline constexpr std::uint64_t kPrevInUse = 1, kMmapped = 2, kNonMain = 4, kFlagBits = 7;
inline constexpr std::uint64_t kSmallLimit = 1024;  // chunks below it are in exact-size bins
inline constexpr std::uint64_t kCacheKey = 0x7463616368656b79;  // in a block of a thread's cache, at user+8; glibc draws one by lot
inline constexpr std::uint64_t kMaxRequest = (std::uint64_t{1} << 63) - 1;  // PTRDIFF_MAX

constexpr Address user_of(Address chunk) { return chunk + kChunkHeader; }
constexpr Address chunk_of_user(Address user) { return user - kChunkHeader; }
constexpr bool is_small(std::uint64_t chunk_size) { return chunk_size < kSmallLimit; }
constexpr std::uint64_t align_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) & ~(to - 1); }
constexpr std::uint64_t align_down(std::uint64_t n, std::uint64_t to) { return n & ~(to - 1); }

// Chunk size for a request; 0 when the request is beyond PTRDIFF_MAX (ENOMEM).
constexpr std::uint64_t chunk_size_for(std::uint64_t request) {
  if (request > kMaxRequest) return 0;
  const std::uint64_t padded = (request + 8 + kChunkAlignment - 1) & ~(kChunkAlignment - 1);
  return padded < kMinChunk ? kMinChunk : padded;
}

inline constexpr unsigned kBinCount = 128;  // 0 unused, 1 unsorted, 2..63 small, 64..126 large
inline constexpr unsigned kUnsortedBin = 1;

// Large bins are spaced ever wider: 64 B, 512 B, 4 KiB, 32 KiB, 256 KiB, then everything else.
constexpr unsigned bin_index(std::uint64_t chunk_size) {
  const auto steps = [chunk_size](unsigned shift) { return chunk_size >> shift; };
  if (is_small(chunk_size)) return static_cast<unsigned>(steps(4));
  if (steps(6) <= 48) return static_cast<unsigned>(48 + steps(6));
  if (steps(9) <= 20) return static_cast<unsigned>(91 + steps(9));
  if (steps(12) <= 10) return static_cast<unsigned>(110 + steps(12));
  if (steps(15) <= 4) return static_cast<unsigned>(119 + steps(15));
  if (steps(18) <= 2) return static_cast<unsigned>(124 + steps(18));
  return 126;
}

}  // namespace faultline::heap
