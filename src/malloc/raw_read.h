// A small file's text by raw system calls.
#pragma once

#include <fcntl.h>
#include <sys/syscall.h>

#include <cstddef>

namespace faultline::allocator {

inline long raw_call(long number, long a, const void* b, long c) {
  long result;
  asm volatile("syscall" : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
}

// False if it cannot be read. What does not fit is left off.
template <std::size_t size>
bool read_file(const char* path, char (&text)[size]) {
  long fd;
  register long mode asm("r10") = 0;
  asm volatile("syscall"
               : "=a"(fd)
               : "0"(long{SYS_openat}), "D"(long{AT_FDCWD}), "S"(path), "d"(long{O_RDONLY | O_CLOEXEC}), "r"(mode)
               : "rcx", "r11", "memory");
  if (fd < 0) return false;
  const long got = raw_call(SYS_read, fd, text, size - 1);
  raw_call(SYS_close, fd, nullptr, 0);
  text[got > 0 ? got : 0] = '\0';
  return got > 0;
}

}  // namespace faultline::allocator
