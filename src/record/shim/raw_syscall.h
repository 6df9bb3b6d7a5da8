// System calls without libc: errno, cancellation and interposed symbols are left alone. Results are the kernel's own: -errno on failure.
#pragma once

#include <sys/syscall.h>

#include <cstddef>
#include <cstdint>

namespace faultline::shim {

inline long raw_syscall(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

inline long address_of(const volatile void* p) { return static_cast<long>(reinterpret_cast<std::uintptr_t>(p)); }

inline bool failed(long result) { return result < 0 && result >= -4095; }

inline std::int32_t raw_getpid() { return static_cast<std::int32_t>(raw_syscall(SYS_getpid)); }
inline std::int32_t raw_getppid() { return static_cast<std::int32_t>(raw_syscall(SYS_getppid)); }
inline std::int32_t raw_gettid() { return static_cast<std::int32_t>(raw_syscall(SYS_gettid)); }

// Readable and writable, at `hint` if nothing is there, else where the kernel likes.
inline long raw_map(std::uint64_t hint, std::size_t bytes, long flags, long fd = -1) {
  constexpr long kReadWrite = 3;
  return raw_syscall(SYS_mmap, static_cast<long>(hint), static_cast<long>(bytes), kReadWrite, flags, fd, 0);
}

inline long raw_open_read(const char* path) {
  constexpr long kAtFdcwd = -100, kCloexec = 02000000;
  return raw_syscall(SYS_openat, kAtFdcwd, address_of(path), kCloexec);
}
inline long raw_read(long fd, void* buffer, std::size_t bytes) {
  return raw_syscall(SYS_read, fd, address_of(buffer), static_cast<long>(bytes));
}
inline void raw_close(long fd) { raw_syscall(SYS_close, fd); }

inline long raw_mincore(std::uint64_t start, std::size_t bytes, unsigned char* out) {
  return raw_syscall(SYS_mincore, static_cast<long>(start), static_cast<long>(bytes), address_of(out));
}

// Reads the whole file into buffer (zero terminated, cut at size - 1). Returns the length, 0 when unreadable.
inline std::size_t read_file(const char* path, char* buffer, std::size_t size) {
  const long fd = raw_open_read(path);
  if (failed(fd)) return buffer[0] = 0;
  std::size_t length = 0;
  while (length + 1 < size) {
    const long got = raw_read(fd, buffer + length, size - 1 - length);
    if (got <= 0) break;
    length += static_cast<std::size_t>(got);
  }
  raw_close(fd);
  buffer[length] = 0;
  return length;
}

// The thread pointer: identifies the thread as long as it lives.
inline std::uint64_t thread_pointer() {
  std::uint64_t fs;
  __asm__("mov %%fs:0, %0" : "=r"(fs));
  return fs;
}

inline std::uint64_t ticks() {
  std::uint32_t low, high;
  __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
  return (std::uint64_t{high} << 32) | low;
}

inline std::uint64_t load_word(std::uint64_t address) {
  return *reinterpret_cast<const volatile std::uint64_t*>(address);
}

}  // namespace faultline::shim
