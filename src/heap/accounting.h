// Where the bytes of a malloc's heaps are: every byte of every arena in one part, so that the parts of an arena add up to its
// system_mem and those of mapped chunks to their mappings. docs: README.md, Accounting.
#pragma once

#include <array>
#include <string_view>
#include <vector>

#include "heap/heap_image.h"

namespace faultline::heap {

enum class Part : std::uint8_t {
  live,           // what the program asked for
  rounding,       // the rest of its chunks: headers, alignment, what a resize left
  tcache,         // freed blocks the threads' caches keep
  fastbins,       // freed small chunks that wait for a consolidation
  trimmable,      // free chunks in bins: whole pages, malloc_trim(0) gives them back
  pinned,         // free chunks in bins: in pages that live or cached blocks share
  top_trimmable,  // top: malloc_trim(0) moves the break below it
  top_kept,       // top: what is left of it; all of it in a thread arena
  own,            // malloc's own: heap_info, malloc_state, caches' structs, fences
  foreign,        // counted in system_mem, but somebody else's: between two moves of the break, before the first chunk
};
inline constexpr std::size_t kParts = 10;
std::string_view name_of(Part part);  // as in JSON keys: "top_trimmable"

struct Bytes {
  std::uint64_t bytes = 0;
  std::uint64_t resident = 0;  // of them, in pages that have a frame; foreign memory is not looked at
  Bytes& operator+=(const Bytes& other) {
    bytes += other.bytes;
    resident += other.resident;
    return *this;
  }
};

struct ArenaAccount {
  std::array<Bytes, kParts> parts;
  std::uint64_t live_blocks = 0, cached_blocks = 0, fastbin_chunks = 0, bin_chunks = 0;
  std::uint64_t system_mem = 0;         // what the parts add up to
  std::uint64_t unopened_bytes = 0;     // thread arenas: reserved beside that, for nothing yet or given back
  Bytes trim_pages;                     // what malloc_trim(0) would give back by madvise, fastbins merged
  std::int64_t trim_break_drop = 0;     // and by the break, bytes; negative: the smallest top of all grows
  std::uint64_t trim_break_resident = 0;

  const Bytes& operator[](Part part) const { return parts[static_cast<std::size_t>(part)]; }
  Bytes& operator[](Part part) { return parts[static_cast<std::size_t>(part)]; }
  Bytes sum() const;
  ArenaAccount& operator+=(const ArenaAccount& other);
};

struct MappedAccount {
  Bytes live, rounding;
  std::uint64_t blocks = 0;
  std::uint64_t mapped_bytes = 0;  // what the two add up to
};

struct Accounting {
  std::vector<ArenaAccount> arenas;  // by ArenaId
  ArenaAccount total;                // of all arenas
  MappedAccount mapped;
};

// Asserts that everything adds up.
Accounting account(const HeapImage& image);

}  // namespace faultline::heap
