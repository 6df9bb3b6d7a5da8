#include "twin_calls.h"

#include <algorithm>
#include <iterator>

namespace faultline::spec {

namespace {

constexpr std::uint64_t kData = 2, kStack = 3, kMemlock = 8, kAddressSpace = 9;  // RLIMIT_*

Answer refusal(mm::Errno error) { return {.value = -1, .error = static_cast<std::int32_t>(error)}; }

Answer answer_of(const Result<void, mm::Errno>& result) { return result ? Answer{} : refusal(result.error()); }

// What was placed outside the window does not stay, as in the child on the kernel.
Answer place_of(mm::AddressSpace& space, const Result<VirtAddr, mm::Errno>& placed, std::uint64_t length, bool exact) {
  if (!placed) return refusal(placed.error());
  const bool inside = placed->value >= kWindow && placed->value < kWindow + kWindowBytes;
  if (!inside) (void)space.munmap(*placed, ByteCount(length));
  return {.value = inside || exact ? static_cast<std::int64_t>(placed->value) : kElsewhere};
}

Answer kept(const Result<VirtAddr, mm::Errno>& placed) {
  return placed ? Answer{.value = static_cast<std::int64_t>(placed->value)} : refusal(placed.error());
}

Answer set_limit(mm::AddressSpace& space, const Call& call, const InUse& in_use) {
  mm::ResourceLimits limits = space.limits();
  const auto set = [&](std::uint64_t& limit, std::uint64_t from) {
    limit = std::min(call.c != 0 ? mm::kUnlimited : from + call.b, in_use.hard[call.a % 16]);
  };
  switch (call.a) {
    case kAddressSpace: set(limits.address_space, in_use.address_space); break;
    case kData: set(limits.data, in_use.data); break;
    case kStack: set(limits.stack, 0); break;
    case kMemlock: set(limits.memlock, in_use.locked); break;
    default: return refusal(mm::Errno::inval);
  }
  space.set_limits(limits);
  return {};
}

Answer touch(mm::AddressSpace& space, const Call& call) {
  Answer answer;
  for (std::uint64_t at = call.a; at < call.a + call.b; at += kPage) {
    const mm::Access met = space.access(VirtAddr(at), call.c != 0);
    if (mm::refused(met)) ++answer.refused;
    if (met == mm::Access::segv_accerr) ++answer.no_access;
  }
  return answer;
}

Answer mincore(mm::AddressSpace& space, const Call& call) {
  const auto pages = space.mincore(VirtAddr(call.a), ByteCount(call.b));
  if (!pages) return refusal(pages.error());
  Answer answer;
  for (std::size_t i = 0; i < std::min<std::size_t>(pages->size(), 63); ++i) {
    answer.value |= static_cast<std::int64_t>((*pages)[i]) << i;
  }
  return answer;
}

mm::MmapArguments mmap_arguments(const Call& call) {
  return {.address = VirtAddr(call.a),
          .length = ByteCount(call.b),
          .prot = static_cast<mm::Prot>(call.c),
          .flags = static_cast<mm::MapFlags>(call.d)};
}

mm::MremapArguments mremap_arguments(const Call& call) {
  return {.address = VirtAddr(call.a),
          .old_length = ByteCount(call.b),
          .new_length = ByteCount(call.c),
          .flags = static_cast<mm::RemapFlags>(call.d),
          .new_address = VirtAddr(call.e)};
}

}  // namespace

InUse::InUse() { std::fill(std::begin(hard), std::end(hard), mm::kUnlimited); }

void InUse::measure(const mm::AddressSpace& space) {
  const mm::MappedPages& mapped = space.mapped();
  address_space = mapped.total * kPage;
  data = mapped.data * kPage;
  locked = mapped.locked * kPage;
}

Answer perform(mm::AddressSpace& space, const Call& call, InUse& in_use, bool exact) {
  const VirtAddr address(call.a);
  const ByteCount length(call.b);
  switch (call.op) {
    case Op::mmap: return place_of(space, space.mmap(mmap_arguments(call)), call.b, exact);
    case Op::mmap_keep: return kept(space.mmap(mmap_arguments(call)));
    case Op::munmap: return answer_of(space.munmap(address, length));
    case Op::mprotect: return answer_of(space.mprotect(address, length, static_cast<mm::Prot>(call.c)));
    case Op::mremap: return place_of(space, space.mremap(mremap_arguments(call)), call.c, exact);
    case Op::mremap_keep: return kept(space.mremap(mremap_arguments(call)));
    case Op::madvise: return answer_of(space.madvise(address, length, static_cast<mm::Madvice>(call.c)));
    case Op::brk: {
      const VirtAddr now = space.brk(VirtAddr(space.start_brk().value + call.a));
      return {.value = static_cast<std::int64_t>(now.value - space.start_brk().value)};
    }
    case Op::touch: return touch(space, call);
    case Op::mlock: return answer_of(space.mlock2(address, length, static_cast<mm::MlockFlags>(call.c)));
    case Op::munlock: return answer_of(space.munlock(address, length));
    case Op::mlockall: return answer_of(space.mlockall(static_cast<mm::MlockallFlags>(call.a)));
    case Op::munlockall: return answer_of(space.munlockall());
    case Op::msync: return answer_of(space.msync(address, length, static_cast<mm::MsyncFlags>(call.c)));
    case Op::mincore: return mincore(space, call);
    case Op::limit: return set_limit(space, call, in_use);
    case Op::reset:
      (void)space.munmap(VirtAddr(kWindow), ByteCount(kWindowBytes));
      space.brk(space.start_brk());
      (void)space.munlockall();
      space.set_limits({.stack = std::min<std::uint64_t>(8 << 20, in_use.hard[kStack]),
                        .memlock = std::min<std::uint64_t>(8 << 20, in_use.hard[kMemlock])});
      in_use.measure(space);
      return {};
    case Op::open:  // files: TwinProcess
    case Op::map_file:
    case Op::truncate:
    case Op::fsync:
    case Op::huge:
    case Op::fork:
    case Op::exit: break;
  }
  return {};
}

}  // namespace faultline::spec
