// This process's own memory as a MemoryProvider: what a malloc that serves real programs stands on (src/malloc).
//
// The break is shared with everybody else who moves it, so it is moved by libc's sbrk(3), which knows where it is. The other
// calls are raw: no errno is touched, and nobody who interposes mmap(2) takes the allocator's calls for the program's.
#pragma once

#include <errno.h>
#include <linux/mman.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cstdint>
#include <cstring>

#include "heap/memory_provider.h"

namespace faultline::heap {

class KernelMemory {
 public:
  static constexpr bool kTrustsHeaders = true;

  static constexpr std::uint64_t page_size() { return 4096; }

  // Giving back must not change errno: free(3) promises that.
  Address sbrk(std::int64_t delta) {
    const int before = errno;
    const auto old = reinterpret_cast<Address>(::sbrk(delta));
    if (delta <= 0) errno = before;
    return old;
  }
  Address map(const MapRequest& request) {
    const bool none = request.protection == Protection::none;
    std::uint64_t flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (none) flags |= MAP_NORESERVE;
    if (request.fixed) flags |= MAP_FIXED;
    if (request.huge_page != 0) flags |= MAP_HUGETLB | (std::uint64_t(std::countr_zero(request.huge_page)) << MAP_HUGE_SHIFT);
    return address(call(SYS_mmap, request.hint, request.length, none ? PROT_NONE : PROT_READ | PROT_WRITE, flags, ~std::uint64_t{0}));
  }
  bool unmap(Address start, std::uint64_t length) { return call(SYS_munmap, start, length) == 0; }
  Address remap(Address start, std::uint64_t old_length, std::uint64_t new_length) {
    return address(call(SYS_mremap, start, old_length, new_length, MREMAP_MAYMOVE));
  }
  bool protect(Address start, std::uint64_t length, Protection protection) {
    return call(SYS_mprotect, start, length, protection == Protection::none ? PROT_NONE : PROT_READ | PROT_WRITE) == 0;
  }
  bool advise(Address start, std::uint64_t length, Advice advice) {
    return call(SYS_madvise, start, length, advice == Advice::dont_need ? MADV_DONTNEED : MADV_HUGEPAGE) == 0;
  }

  // A block's owner reads its size word while another thread, under the arena's mutex, changes the bit in it that speaks of the
  // chunk below: so it is in glibc. One aligned word is one access here. ThreadSanitizer is told so; for the compiler plain
  // accesses stay plain, because it then reads a header once where the code asks twice.
  std::uint64_t load_word(Address at) const {
#ifdef __SANITIZE_THREAD__
    return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(at), __ATOMIC_RELAXED);
#else
    std::uint64_t word;
    std::memcpy(&word, reinterpret_cast<const void*>(at), sizeof word);
    return word;
#endif
  }
  void store_word(Address at, std::uint64_t word) {
#ifdef __SANITIZE_THREAD__
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(at), word, __ATOMIC_RELAXED);
#else
    std::memcpy(reinterpret_cast<void*>(at), &word, sizeof word);
#endif
  }
  void clear(Address start, std::uint64_t length) { fill(start, length, 0); }
  void fill(Address start, std::uint64_t length, int byte) { std::memset(reinterpret_cast<void*>(start), byte, length); }
  void copy(Address to, Address from, std::uint64_t length) {
    std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), length);
  }

 private:
  static std::uint64_t call(long number, std::uint64_t a, std::uint64_t b, std::uint64_t c = 0, std::uint64_t d = 0,
                            std::uint64_t e = 0) {
    std::uint64_t result;
    register std::uint64_t r10 asm("r10") = d;
    register std::uint64_t r8 asm("r8") = e;
    register std::uint64_t r9 asm("r9") = 0;  // mmap's offset
    asm volatile("syscall"
                 : "=a"(result)
                 : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
  }
  static Address address(std::uint64_t result) { return result > ~std::uint64_t{4095} ? kFailed : result; }
};

static_assert(MemoryProvider<KernelMemory> && trusts_headers<KernelMemory>);

}  // namespace faultline::heap
