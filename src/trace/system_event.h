// What happened to processes as a whole: births, execve, ends, and the mappings the kernel made. With every memory call and fault of
// all of them it is the run as the kernel saw it, which `verify` follows in the twin.
#pragma once

#include <cstdint>
#include <string>

#include "trace/event.h"

namespace faultline::trace {

enum class TaskKind : std::uint8_t {
  fork,  // pid is a new process with a copy of parent's memory (or, after vfork and clone(CLONE_VM), parent's memory itself)
  exec,  // pid has a new image; its mappings follow as MappingEvents with times up to its first instruction
  exit,  // the last thread of pid ended
};

struct TaskEvent {
  std::uint64_t time_ns = 0;
  Pid pid = 0;
  Pid parent = 0;          // fork: who called
  Tid parent_tid = 0;      // fork: its thread that did; 0: not known
  TaskKind kind = TaskKind::fork;
  bool shares_memory = false;  // fork: CLONE_VM (vfork, posix_spawn); unknown counts as false
};

// A mapping as it was made (PERF_RECORD_MMAP2, kernel/events/core.c: perf_event_mmap): by mmap, brk and shmat, by the kernel itself
// during execve (segments, [heap], [stack], [vvar], [vdso]), and once more in its new shape when mprotect changes it or a stack
// grows. Where it merged with a neighbour the whole merged mapping is told. A fork tells none: the child has its parent's.
// During execve the kernel maps a program's whole span, then unmaps all but the first segment of it without a record (fs/binfmt_elf.c:
// elf_load): that first mapping ends here where the second segment begins. Only a gap between those two is not seen.
struct MappingEvent {
  std::uint64_t time_ns = 0;
  std::uint64_t start = 0, end = 0;
  std::uint64_t offset = 0;    // bytes in the file
  std::uint32_t prot = 0, flags = 0;  // PROT_*, MAP_*
  std::uint32_t device = 0;    // major << 20 | minor
  std::uint64_t inode = 0, inode_generation = 0;
  std::string path;            // "//anon", "[heap]", "[stack]", "[vdso]", or the file
};

}  // namespace faultline::trace
