#include "record/call_table.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>

#include "base/error.h"

#ifndef SYS_map_shadow_stack
#define SYS_map_shadow_stack 453
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

namespace faultline::record {
namespace {

using trace::CallKind;

struct Entry {
  std::uint64_t number;
  CallKind kind;
};

// By number. arch/x86/entry/syscalls/syscall_64.tbl
constexpr Entry kCalls[] = {
    {SYS_mmap, CallKind::mmap},
    {SYS_mprotect, CallKind::mprotect},
    {SYS_munmap, CallKind::munmap},
    {SYS_brk, CallKind::brk},
    {SYS_mremap, CallKind::mremap},
    {SYS_msync, CallKind::msync},
    {SYS_mincore, CallKind::mincore},
    {SYS_madvise, CallKind::madvise},
    {SYS_shmat, CallKind::shmat},
    {SYS_shmdt, CallKind::shmdt},
    {SYS_mlock, CallKind::mlock},
    {SYS_munlock, CallKind::munlock},
    {SYS_mlockall, CallKind::mlockall},
    {SYS_munlockall, CallKind::munlockall},
    {SYS_prctl, CallKind::prctl},
    {SYS_setrlimit, CallKind::prlimit},
    {SYS_io_setup, CallKind::io_setup},
    {SYS_io_destroy, CallKind::io_destroy},
    {SYS_remap_file_pages, CallKind::remap_file_pages},
    {SYS_mbind, CallKind::mbind},
    {SYS_prlimit64, CallKind::prlimit},
    {SYS_mlock2, CallKind::mlock2},
    {SYS_pkey_mprotect, CallKind::mprotect},
    {SYS_process_madvise, CallKind::process_madvise},
    {SYS_map_shadow_stack, CallKind::map_shadow_stack},
    {SYS_mseal, CallKind::mseal},
};
static_assert(std::is_sorted(std::begin(kCalls), std::end(kCalls), [](const Entry& x, const Entry& y) { return x.number < y.number; }));

constexpr std::uint64_t kMemoryOptions[] = {PR_SET_MM, PR_SET_VMA, PR_SET_THP_DISABLE, PR_SET_MDWE, PR_SET_MEMORY_MERGE};

}  // namespace

std::optional<CallKind> memory_call(std::uint64_t number) {
  const auto found = std::lower_bound(std::begin(kCalls), std::end(kCalls), number, [](const Entry& x, std::uint64_t n) { return x.number < n; });
  if (found == std::end(kCalls) || found->number != number) return std::nullopt;
  return found->kind;
}

void unknown_limit(trace::MemoryCall& call) {
  if (call.kind != CallKind::prlimit) return;
  call.args[4] = trace::kUnknownLimit[0];
  call.args[5] = trace::kUnknownLimit[1];
}

bool normalise(std::uint64_t number, trace::MemoryCall& call) {
  auto& args = call.args;
  switch (number) {
    case SYS_prctl:
      // The option is an int: only its low half counts.
      return std::find(std::begin(kMemoryOptions), std::end(kMemoryOptions), args[0] & 0xffffffff) != std::end(kMemoryOptions);
    case SYS_setrlimit:
      args[2] = args[1];
      args[1] = args[0];
      args[0] = args[3] = 0;
      [[fallthrough]];
    case SYS_prlimit64:
      unknown_limit(call);
      return true;
    case SYS_pkey_mprotect: args[3] = std::uint64_t{1} + static_cast<std::uint32_t>(args[3]); return true;
    case SYS_mprotect: args[3] = 0; return true;
    default: return true;
  }
}

std::string memory_call_filter() {
  std::string filter;
  const auto* const end = std::end(kCalls);
  for (const Entry* first = kCalls; first != end;) {
    const Entry* last = first;
    while (last + 1 != end && last[1].number == last->number + 1) ++last;
    if (!filter.empty()) filter += "||";
    filter += first == last ? fmt::format("id=={}", first->number) : fmt::format("(id>={}&&id<={})", first->number, last->number);
    first = last + 1;
  }
  return filter;
}

void ask_for_limit(trace::Pid pid, trace::MemoryCall& call) {
  if (call.kind != CallKind::prlimit || call.result != 0 || call.args[2] == 0) return;
  const auto target = static_cast<pid_t>(call.args[0]);
  rlimit now{};
  if (prlimit(target != 0 ? target : pid, static_cast<__rlimit_resource>(call.args[1]), nullptr, &now) != 0) return;
  call.args[4] = now.rlim_cur;
  call.args[5] = now.rlim_max;
}

}  // namespace faultline::record
