#include "replay/follow/twin_calls.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/units.h"

namespace faultline::replay {
namespace {

using trace::CallKind;

bool failed(std::int64_t result) { return result < 0 && result > -4096; }

template <typename T>
std::int64_t value_of(const Result<T, mm::Errno>& result) {
  if (!result) return -static_cast<std::int64_t>(result.error());
  if constexpr (std::is_same_v<T, VirtAddr>) {
    return static_cast<std::int64_t>(result->value);
  } else {
    return 0;
  }
}

mm::MmapArguments mmap_arguments(const trace::MemoryCall& call, const FileChoice& file) {
  mm::MmapArguments arguments;
  arguments.address = VirtAddr(call.args[0]);
  arguments.length = ByteCount(call.args[1]);
  arguments.prot = static_cast<mm::Prot>(call.args[2]);
  arguments.flags = static_cast<mm::MapFlags>(call.args[3]);
  arguments.backing = file.backing;
  arguments.file = file.number;
  arguments.file_offset = call.args[5];
  return arguments;
}

mm::MremapArguments mremap_arguments(const trace::MemoryCall& call) {
  return {VirtAddr(call.args[0]), ByteCount(call.args[1]), ByteCount(call.args[2]), static_cast<mm::RemapFlags>(call.args[3]), VirtAddr(call.args[4])};
}

constexpr std::uint64_t kSetThpDisable = 41, kShmRdOnly = 010000, kShmRemap = 040000;  // prctl(2), shmat(2)

// setrlimit(2) as it succeeded: the recorder asked for the limits afterwards.
void set_limit(mm::AddressSpace& space, const trace::MemoryCall& call) {
  if (call.result != 0 || call.args[2] == 0 || call.args[4] > call.args[5]) return;
  mm::ResourceLimits limits = space.limits();
  constexpr std::uint64_t kData = 2, kStack = 3, kMemlock = 8, kAs = 9;  // include/uapi/asm-generic/resource.h
  switch (call.args[1]) {
    case kData:
      limits.data = call.args[4];
      limits.data_hard = call.args[5];
      break;
    case kStack: limits.stack = call.args[4]; break;
    case kMemlock: limits.memlock = call.args[4]; break;
    case kAs: limits.address_space = call.args[4]; break;
    default: return;
  }
  space.set_limits(limits);
}

// System V shared memory is a mapping of a file of its own (ipc/shm.c: do_shmat()). The segment's length is not among the arguments:
// file.bytes has it from the kernel's record of the mapping.
TwinAnswer attach(mm::AddressSpace& space, const trace::MemoryCall& call, const FileChoice& file) {
  if (failed(call.result) || file.bytes == 0) return {call.result, false};
  mm::MmapArguments arguments;
  arguments.address = VirtAddr(call.args[1]);
  arguments.length = ByteCount(file.bytes);
  arguments.prot = (call.args[2] & kShmRdOnly) != 0 ? mm::kProtRead : mm::kProtReadWrite;
  arguments.flags = mm::kMapShared | (call.args[1] == 0 ? 0 : (call.args[2] & kShmRemap) != 0 ? mm::kMapFixed : mm::kMapFixedNoReplace);
  arguments.backing = file.backing;
  arguments.file = file.number;
  return {value_of(space.mmap(arguments))};
}

// The whole segment goes: all that is left of the mapping which began there (ipc/shm.c: ksys_shmdt()).
TwinAnswer detach(mm::AddressSpace& space, const trace::MemoryCall& call) {
  const mm::Vma* vma = space.vmas().containing(call.args[0]);
  if (failed(call.result) || vma == nullptr || vma->start != call.args[0]) return {call.result, false};
  return {value_of(space.munmap(VirtAddr(vma->start), ByteCount(vma->end - vma->start)))};
}

}  // namespace

TwinAnswer make_call(mm::AddressSpace& space, const trace::MemoryCall& call, const FileChoice& file) {
  const VirtAddr address(call.args[0]);
  const ByteCount length(call.args[1]);
  switch (call.kind) {
    case CallKind::brk: return {static_cast<std::int64_t>(space.brk(address).value)};
    case CallKind::mmap: return {value_of(space.mmap(mmap_arguments(call, file)))};
    case CallKind::munmap: return {value_of(space.munmap(address, length))};
    case CallKind::mremap: return {value_of(space.mremap(mremap_arguments(call)))};
    case CallKind::madvise: return {value_of(space.madvise(address, length, static_cast<mm::Madvice>(call.args[2])))};
    case CallKind::mprotect: return {value_of(space.mprotect(address, length, static_cast<mm::Prot>(call.args[2])))};
    case CallKind::mlock: return {value_of(space.mlock(address, length))};
    case CallKind::mlock2: return {value_of(space.mlock2(address, length, static_cast<mm::MlockFlags>(call.args[2])))};
    case CallKind::munlock: return {value_of(space.munlock(address, length))};
    case CallKind::mlockall: return {value_of(space.mlockall(static_cast<mm::MlockallFlags>(call.args[0])))};
    case CallKind::munlockall: return {value_of(space.munlockall())};
    case CallKind::msync: return {value_of(space.msync(address, length, static_cast<mm::MsyncFlags>(call.args[2])))};
    case CallKind::mincore: {
      const auto answer = space.mincore(address, length);
      return {answer ? 0 : -static_cast<std::int64_t>(answer.error())};
    }
    case CallKind::shmat: return attach(space, call, file);
    case CallKind::shmdt: return detach(space, call);
    case CallKind::prlimit:  // refusals are about who may raise what, not about memory
      set_limit(space, call);
      return {call.result};
    case CallKind::prctl:
      if ((call.args[0] & 0xffff'ffff) != kSetThpDisable) break;
      if (call.result == 0) space.set_thp_disabled(call.args[1] != 0);
      return {call.result};
    default: break;
  }
  return {call.result, false};
}

bool same_answer(const trace::MemoryCall& call, const TwinAnswer& answer) { return !answer.known || answer.value == call.result; }

void force_result(mm::AddressSpace& space, const trace::MemoryCall& call, const TwinAnswer& answer, const FileChoice& file) {
  if (failed(call.result)) {  // really refused: take back what can be taken back
    if (call.kind == CallKind::mmap && !failed(answer.value)) (void)space.munmap(VirtAddr(static_cast<std::uint64_t>(answer.value)), ByteCount(call.args[1]));
    return;
  }
  const VirtAddr place(static_cast<std::uint64_t>(call.result));
  if (call.kind == CallKind::mmap) {
    if (!failed(answer.value)) (void)space.munmap(VirtAddr(static_cast<std::uint64_t>(answer.value)), ByteCount(call.args[1]));
    mm::MmapArguments arguments = mmap_arguments(call, file);
    arguments.address = place;
    arguments.flags = (arguments.flags | mm::kMapFixed) & ~mm::kMapFixedNoReplace;
    (void)space.mmap(arguments);
  } else if (call.kind == CallKind::mremap) {
    mm::MremapArguments arguments = mremap_arguments(call);
    if (!failed(answer.value)) {  // it went elsewhere: from there
      if (arguments.flags & mm::kRemapDontUnmap) return;
      arguments.address = VirtAddr(static_cast<std::uint64_t>(answer.value));
      arguments.old_length = arguments.new_length;
    }
    if (arguments.address == place) return;
    arguments.flags |= mm::kRemapMayMove | mm::kRemapFixed;
    arguments.new_address = place;
    (void)space.mremap(arguments);
  } else if (call.kind == CallKind::brk) {
    (void)space.brk(place);
  } else if (call.kind == CallKind::shmat) {
    if (!failed(answer.value)) (void)space.munmap(VirtAddr(static_cast<std::uint64_t>(answer.value)), ByteCount(file.bytes));
    trace::MemoryCall there = call;
    there.args[1] = place.value;
    there.args[2] |= kShmRemap;
    (void)attach(space, there, file);
  }
}

std::string result_text(std::int64_t value) {
  if (failed(value)) return fmt::format("-{}", mm::name_of(static_cast<mm::Errno>(-value)));
  return value > 4096 ? fmt::format("{:#x}", value) : std::to_string(value);
}

std::string call_text(const trace::MemoryCall& call) {
  const auto* a = call.args;
  switch (call.kind) {
    case CallKind::brk: return fmt::format("brk({:#x})", a[0]);
    case CallKind::mmap: return fmt::format("mmap({:#x}, {}, {:#x}, {:#x}, {}, {:#x})", a[0], a[1], a[2], a[3], static_cast<std::int32_t>(a[4]), a[5]);
    case CallKind::munmap: return fmt::format("munmap({:#x}, {})", a[0], a[1]);
    case CallKind::mremap: return fmt::format("mremap({:#x}, {}, {}, {:#x}, {:#x})", a[0], a[1], a[2], a[3], a[4]);
    case CallKind::madvise: return fmt::format("madvise({:#x}, {}, {})", a[0], a[1], a[2]);
    case CallKind::mprotect: return fmt::format("mprotect({:#x}, {}, {:#x})", a[0], a[1], a[2]);
    default: break;
  }
  std::string text = trace::call_name(call.kind);
  text += '(';
  for (unsigned i = 0; i < std::min(trace::argument_count(call.kind), 6u); ++i) text += fmt::format("{}{:#x}", i == 0 ? "" : ", ", a[i]);
  return text + ')';
}

}  // namespace faultline::replay
