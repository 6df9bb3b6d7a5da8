// The live blocks of a recorded heap, by address: what malloc returned and nobody freed yet.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "trace/event.h"

namespace faultline::analyze {

struct Block {
  std::uint64_t address = 0;  // as malloc returned it; never 0
  std::uint64_t bytes = 0;    // as the program asked for
  std::uint64_t alloc_ns = 0;
  trace::StackId site = 0;
  std::uint8_t flags = 0;  // trace::HeapFlag

  std::uint64_t end() const { return address + (bytes != 0 ? bytes : 1); }
};

// Bytes of the heap chunk glibc makes for a request (SIZE_SZ 8, alignment 16, MINSIZE 32), header included.
constexpr std::uint64_t chunk_bytes(std::uint64_t request) {
  const std::uint64_t chunk = (request + 23) & ~std::uint64_t{15};
  return chunk < 32 ? 32 : chunk;
}

// Insert, erase and exact lookup are hash operations; the block around an interior address is found through a bitmap of
// block starts per page (8-byte granules: other allocators than glibc align to 8), and through an ordered map for blocks
// of a page and more. Memory: 64 to 128 bytes a live block, 72 bytes a page in which a block ever started.
class BlockMap {
 public:
  BlockMap();

  // Replaces a block that starts at the same address and returns true then: its free was never seen.
  bool insert(const Block& block, Block* replaced);
  bool erase(std::uint64_t address, Block* erased);
  const Block* at(std::uint64_t address) const;          // starting exactly here
  const Block* containing(std::uint64_t address) const;  // [address, address + bytes) holds it
  std::size_t size() const { return used_; }
  std::vector<Block> sorted() const;  // by address
  void check_invariants() const;

 private:
  struct PageStarts {
    std::uint64_t vpn = 0;
    std::uint64_t bits[8] = {};
  };

  std::vector<Block> slots_;  // linear probing, power of two, address 0 is empty
  std::size_t used_ = 0;
  std::vector<PageStarts> pages_;  // linear probing, vpn + 1 stored, never removed
  std::size_t pages_used_ = 0;
  std::map<std::uint64_t, std::uint64_t> large_;  // start -> end, blocks of a page and more

  std::size_t slot_of(std::uint64_t address) const;
  PageStarts* page(std::uint64_t vpn, bool create);
  const PageStarts* find_page(std::uint64_t vpn) const;
  void grow_slots();
  void grow_pages();
};

}  // namespace faultline::analyze
