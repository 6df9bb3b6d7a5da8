// What each mapping of a process is: program, heap, malloc's arenas, stacks by thread, libraries, files, reservations.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "live/mappings.h"
#include "live/proc.h"

namespace faultline::live {

enum class Kind : std::uint8_t {
  program,    // the executable's own text, read-only data and data; its bss too
  library,    // another file with code in it, or one the loader maps beside it
  heap,       // [heap]: brk, malloc's main arena
  arena,      // a heap of a thread arena of glibc's malloc
  stack,      // the first thread's
  thread_stack,
  file,       // any other mapped file
  shared,     // shared memory without a file name of its own: shm, memfd, System V, shared anonymous
  anonymous,
  reserved,   // PROT_NONE: address space without memory, guards included
  kernel,     // vdso, vvar, vsyscall
};
inline constexpr std::size_t kKindCount = 11;
const char* kind_key(Kind kind);    // as in JSON
const char* kind_title(Kind kind);  // as people read it

struct Place {
  Mapping mapping;
  Kind kind = Kind::anonymous;
  std::string label;   // "libc.so.6: text", "arena 2", "stack of thread 71 (worker)"
  int arena = 0;       // 1 for the first thread arena; 0: not of one
  Pid thread = 0;      // thread_stack: whose; 0: not known
};

struct Thread {
  Pid tid = 0;
  std::string name;
  std::uint64_t stack_pointer = 0;  // 0: not known (it was running, or it may not be looked at)
};

struct Heap {  // a heap of glibc's malloc outside brk: malloc/arena.c heap_info
  std::uint64_t address = 0;
  std::uint64_t arena = 0;  // the address of its arena (heap_info::ar_ptr); 0: not readable
};

// How many bytes of address space an ELF file takes, bss included, from its first mapping on; none if that is not known.
using ImageBytes = std::function<std::optional<std::uint64_t>(const std::string& path)>;

struct LayoutFacts {  // each may be empty
  std::string executable;
  std::vector<Thread> threads;
  std::vector<Heap> heaps;
  ImageBytes image_bytes;
};

// The places of all mappings, in their order.
std::vector<Place> lay_out(std::vector<Mapping> mappings, const LayoutFacts& facts);

}  // namespace faultline::live
