// What the memory system calls are called, and how many arguments they have.
#include "base/assert.h"
#include "trace/event.h"

namespace faultline::trace {
namespace {

struct Call {
  const char* name;
  unsigned arguments;
};

constexpr Call kCalls[] = {
    {"brk", 1},      {"mmap", 6},   {"munmap", 2}, {"mremap", 5},           {"madvise", 3}, {"mprotect", 3}, {"mlock", 2},  {"mlock2", 3},
    {"munlock", 2},  {"mlockall", 1}, {"munlockall", 0}, {"msync", 3},      {"mincore", 3}, {"remap_file_pages", 5}, {"shmat", 3}, {"shmdt", 1},
    {"process_madvise", 5}, {"prlimit", 6}, {"prctl", 5}, {"mbind", 6},     {"mseal", 3},   {"map_shadow_stack", 3}, {"io_setup", 2}, {"io_destroy", 1},
};
static_assert(std::size(kCalls) == kCallKindCount);

const Call& entry(CallKind kind) {
  const auto index = static_cast<std::size_t>(kind);
  FL_ASSERT(index < kCallKindCount);
  return kCalls[index];
}

}  // namespace

const char* call_name(CallKind kind) { return entry(kind).name; }
unsigned argument_count(CallKind kind) { return entry(kind).arguments; }

}  // namespace faultline::trace
