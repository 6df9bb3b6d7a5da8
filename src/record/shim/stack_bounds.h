// The part of a thread's stack that is known to be readable: from the lowest stack pointer looked at so far to its outer end.
//
// Code without tables (JIT compilers, hand-written assembler) may use rbp for anything, so a frame pointer found there is only read
// directly inside this range; elsewhere the kernel is asked each time, which costs a thousand times as much.
#pragma once

#include <cstdint>

namespace faultline::shim {

class StackBounds {
 public:
  // Whether [address, address + bytes) may be read, on a stack that ends at `end` and whose live part begins at `sp`. Asks the kernel
  // about pages it has not seen (process_vm_readv(2): no signal for what cannot be read).
  bool readable(std::uint64_t sp, std::uint64_t end, std::uint64_t address, std::uint64_t bytes) {
    if (address < sp || address + bytes > end) return false;
    if (__builtin_expect(sp >= low_ && end == end_, 1)) return true;
    return extend(sp, end);
  }

 private:
  bool extend(std::uint64_t sp, std::uint64_t end);

  std::uint64_t low_ = ~std::uint64_t{0}, end_ = 0;
  std::uint64_t refused_page_ = 0;  // of the last stack pointer from which the end cannot be reached: a coroutine's, asked once
  std::uint32_t refusals_ = 0;
};

// Reads words that may not be mapped. False also when the system call is forbidden.
bool read_guarded(std::uint64_t address, std::uint64_t* words, std::size_t count);

}  // namespace faultline::shim
