// Plain host memory as a MemoryProvider: modelled addresses are host addresses. For tests and benchmarks of the heap
// model alone, and for watching which pages an allocator touches (they are real pages: mincore(2) tells).
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>

#include "base/units.h"
#include "heap/memory_provider.h"

namespace faultline::heap {

struct FlatMemoryOptions {
  std::uint64_t reserve_bytes = std::uint64_t{64} << 30;  // address space for the break to move in
  std::uint64_t start_offset = 0;                         // of the first break from a page boundary
  std::uint64_t brk_limit_bytes = 0;                      // break stays this far from the start; 0: reserve_bytes
  std::function<bool(std::uint64_t length)> refuse_map;   // true: mmap or mremap to this length fails
};

class FlatMemory {
 public:
  explicit FlatMemory(FlatMemoryOptions options = {});
  ~FlatMemory();
  FlatMemory(const FlatMemory&) = delete;
  FlatMemory& operator=(const FlatMemory&) = delete;

  std::uint64_t page_size() const { return kPageSize; }
  Address sbrk(std::int64_t delta);  // also for foreign sbrks: whoever calls it moves the one break
  Address map(const MapRequest& request);
  bool unmap(Address start, std::uint64_t length);
  Address remap(Address start, std::uint64_t old_length, std::uint64_t new_length);
  bool protect(Address start, std::uint64_t length, Protection protection);
  bool advise(Address start, std::uint64_t length, Advice advice);

  std::uint64_t load_word(Address address) const {
    std::uint64_t word;
    std::memcpy(&word, at(address), sizeof word);
    return word;
  }
  void store_word(Address address, std::uint64_t word) { std::memcpy(at(address), &word, sizeof word); }
  void clear(Address start, std::uint64_t length) { std::memset(at(start), 0, length); }
  void copy(Address to, Address from, std::uint64_t length) { std::memcpy(at(to), at(from), length); }

  Address start_break() const { return start_break_; }

 private:
  // The whole idea of this provider: a modelled address is a host address.
  static void* at(Address address) { return reinterpret_cast<void*>(address); }

  FlatMemoryOptions options_;
  Address reserve_ = 0;
  Address start_break_ = 0, break_ = 0;
};

static_assert(MemoryProvider<FlatMemory>);

}  // namespace faultline::heap
