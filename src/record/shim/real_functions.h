// The functions behind the interposed ones: the next definition of each symbol after the shim in the link order, as
// dlsym(RTLD_NEXT) would find it. dlsym itself may call malloc, so the link map is searched by hand (ELF gABI: hash tables).
#pragma once

#include <link.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/types.h>

#include <cstddef>
#include <cstdint>

struct dl_find_object;

namespace faultline::shim {

struct RealFunctions {
  void* (*malloc)(std::size_t);
  void* (*calloc)(std::size_t, std::size_t);
  void* (*realloc)(void*, std::size_t);
  void* (*reallocarray)(void*, std::size_t, std::size_t);
  void (*free)(void*);
  void* (*memalign)(std::size_t, std::size_t);
  int (*posix_memalign)(void**, std::size_t, std::size_t);
  void* (*aligned_alloc)(std::size_t, std::size_t);
  void* (*valloc)(std::size_t);
  void* (*pvalloc)(std::size_t);
  std::size_t (*malloc_usable_size)(void*);
  int (*mallopt)(int, int);
  int (*malloc_trim)(std::size_t);

  int (*dlclose)(void*);
  void* (*mmap)(void*, std::size_t, int, int, int, off_t);
  int (*munmap)(void*, std::size_t);
  void* (*mremap)(void*, std::size_t, std::size_t, int, ...);
  int (*madvise)(void*, std::size_t, int);
  int (*mprotect)(void*, std::size_t, int);
  int (*brk)(void*);
  void* (*sbrk)(intptr_t);

  int (*execve)(const char*, char* const*, char* const*);
  int (*execvpe)(const char*, char* const*, char* const*);
  int (*fexecve)(int, char* const*, char* const*);
  int (*execveat)(int, const char*, char* const*, char* const*, int);
  int (*posix_spawn)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                     char* const*);
  int (*posix_spawnp)(pid_t*, const char*, const posix_spawn_file_actions_t*, const posix_spawnattr_t*, char* const*,
                      char* const*);
  int (*system)(const char*);
  FILE* (*popen)(const char*, const char*);
  void (*exit_now)(int);   // _exit
  void (*quick_exit)(int);

  int (*pthread_key_create)(unsigned*, void (*)(void*));
  int (*pthread_setspecific)(unsigned, const void*);

  const char* (*gnu_get_libc_version)();
  int (*dl_find_object)(void*, dl_find_object*);  // nullptr before glibc 2.35

  const link_map* allocator;  // the object that defines malloc
  const link_map* libc;       // libc.so.6, nullptr if there is none
  bool allocator_is_glibc;
  bool program_owns_malloc;   // the executable defines malloc itself: nothing reaches the shim
};

// Valid after find_real_functions().
extern RealFunctions real;

// Idempotent and free of locks: concurrent first callers all store the same values.
void find_real_functions(bool prefer_glibc);

// The definition of `name` in one object (default version), or 0.
std::uint64_t find_symbol(const link_map* object, const char* name);

const link_map* own_link_map();
const link_map* first_link_map();

}  // namespace faultline::shim
