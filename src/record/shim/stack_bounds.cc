#include "record/shim/stack_bounds.h"

#include "record/shim/raw_syscall.h"

namespace faultline::shim {

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kMaxProbed = std::uint64_t{64} << 20;  // deeper stacks are read through the kernel
constexpr std::uint32_t kMaxRefusals = 64;                     // a program of coroutines is not asked for ever

struct Vector {
  std::uint64_t base, bytes;
};

bool read_all(std::uint64_t* words, std::size_t word_count, const Vector* remote, std::size_t remote_count) {
  const Vector local{reinterpret_cast<std::uint64_t>(words), word_count * 8};
  return raw_syscall(SYS_process_vm_readv, raw_getpid(), address_of(&local), 1, address_of(remote), static_cast<long>(remote_count), 0) ==
         static_cast<long>(word_count * 8);
}

// One word of each page in [from, to), page aligned.
bool pages_readable(std::uint64_t from, std::uint64_t to) {
  constexpr std::uint64_t kAtOnce = 64;
  std::uint64_t words[kAtOnce];
  Vector remote[kAtOnce];
  while (from < to) {
    std::uint64_t count = 0;
    for (; count < kAtOnce && from < to; ++count, from += kPage) remote[count] = {from, 8};
    if (!read_all(words, count, remote, count)) return false;
  }
  return true;
}

}  // namespace

__attribute__((noinline)) bool StackBounds::extend(std::uint64_t sp, std::uint64_t end) {
  const std::uint64_t page = sp & ~(kPage - 1);
  if (end - sp > kMaxProbed || page == refused_page_ || refusals_ >= kMaxRefusals) return false;
  const bool known = end == end_ && page < low_ && low_ < end;
  if (!pages_readable(page, known ? low_ : (end + kPage - 1) & ~(kPage - 1))) {
    refused_page_ = page;
    ++refusals_;
    return false;
  }
  low_ = page;
  end_ = end;
  return true;
}

bool read_guarded(std::uint64_t address, std::uint64_t* words, std::size_t count) {
  const Vector remote{address, count * 8};
  return read_all(words, count, &remote, 1);
}

}  // namespace faultline::shim
