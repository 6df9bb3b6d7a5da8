// MemoryProvider: what ptmalloc needs from below. heap/ knows no kernel model; on/ holds the providers.
//
// Addresses are plain 64-bit numbers of the modelled process. Every call answers like the Linux call it stands for:
//   sbrk     sbrk(2): the old break, or kFailed; size may be negative. sbrk(0) makes no system call.
//   map      mmap(2) of private anonymous memory: address or kFailed
//   unmap    munmap(2)
//   remap    mremap(2) with MREMAP_MAYMOVE: new address or kFailed
//   protect  mprotect(2)
//   advise   madvise(2)
// load_word and store_word are the allocator's own reads and writes of chunk headers: they fault like any access.
// Memory that was never written, and memory given back and mapped anew, reads as zero.
// clear and copy are calloc's memset and realloc's memcpy.
#pragma once

#include <concepts>
#include <cstdint>

namespace faultline::heap {

using Address = std::uint64_t;
inline constexpr Address kFailed = ~Address{0};

enum class Protection : std::uint8_t { none, read_write };  // none: also MAP_NORESERVE, as glibc reserves a heap
enum class Advice : std::uint8_t { dont_need, huge_page };

struct MapRequest {
  std::uint64_t length = 0;
  Protection protection = Protection::read_write;
  Address hint = 0;             // where it would be welcome
  bool fixed = false;           // MAP_FIXED: at the hint, whatever is there
  std::uint64_t huge_page = 0;  // MAP_HUGETLB with pages of this size
};

template <typename P>
concept MemoryProvider = requires(P p, Address a, std::uint64_t n, std::int64_t delta) {
  { p.page_size() } -> std::convertible_to<std::uint64_t>;
  { p.sbrk(delta) } -> std::same_as<Address>;
  { p.map(MapRequest{}) } -> std::same_as<Address>;
  { p.unmap(a, n) } -> std::same_as<bool>;
  { p.remap(a, n, n) } -> std::same_as<Address>;
  { p.protect(a, n, Protection::read_write) } -> std::same_as<bool>;
  { p.advise(a, n, Advice::dont_need) } -> std::same_as<bool>;
  { p.load_word(a) } -> std::same_as<std::uint64_t>;
  { p.store_word(a, n) } -> std::same_as<void>;
  { p.clear(a, n) } -> std::same_as<void>;
  { p.copy(a, a, n) } -> std::same_as<void>;
};

// M_PERTURB: bytes that are not zero. In a model, which page is written counts and not with what.
template <MemoryProvider P>
void fill(P& memory, Address start, std::uint64_t length, int byte) {
  if constexpr (requires { memory.fill(start, length, byte); }) memory.fill(start, length, byte);
  else memory.clear(start, length);
}

// Real memory (on/kernel_memory): no books are kept beside the headers, as in glibc. A model keeps them, so that it can
// say whether a pointer is one of its blocks before it reads a header there.
template <typename P>
inline constexpr bool trusts_headers = requires { requires P::kTrustsHeaders; };

}  // namespace faultline::heap
