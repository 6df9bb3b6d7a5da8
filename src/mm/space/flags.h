// Arguments of the memory system calls, with Linux's numbers (include/uapi/asm-generic/mman*.h).
#pragma once

#include <cstdint>

namespace faultline::mm {

using Prot = std::uint32_t;
inline constexpr Prot kProtNone = 0;
inline constexpr Prot kProtRead = 1;
inline constexpr Prot kProtWrite = 2;
inline constexpr Prot kProtExec = 4;
inline constexpr Prot kProtSem = 8;  // accepted and without effect on x86
inline constexpr Prot kProtGrowsDown = 0x0100'0000;
inline constexpr Prot kProtGrowsUp = 0x0200'0000;
inline constexpr Prot kProtReadWrite = kProtRead | kProtWrite;

using MapFlags = std::uint32_t;
inline constexpr MapFlags kMapShared = 0x01;
inline constexpr MapFlags kMapPrivate = 0x02;
inline constexpr MapFlags kMapDroppable = 0x08;
inline constexpr MapFlags kMapFixed = 0x10;
inline constexpr MapFlags kMapAnonymous = 0x20;
inline constexpr MapFlags kMap32Bit = 0x40;
inline constexpr MapFlags kMapAbove4G = 0x80;
inline constexpr MapFlags kMapGrowsDown = 0x0100;
inline constexpr MapFlags kMapLocked = 0x2000;
inline constexpr MapFlags kMapNoReserve = 0x4000;
inline constexpr MapFlags kMapPopulate = 0x8000;
inline constexpr MapFlags kMapNonBlock = 0x10000;
inline constexpr MapFlags kMapStack = 0x20000;
inline constexpr MapFlags kMapHugeTlb = 0x40000;
inline constexpr MapFlags kMapFixedNoReplace = 0x100000;

using RemapFlags = std::uint32_t;
inline constexpr RemapFlags kRemapMayMove = 1;
inline constexpr RemapFlags kRemapFixed = 2;
inline constexpr RemapFlags kRemapDontUnmap = 4;

using MlockFlags = std::uint32_t;  // mlock2
inline constexpr MlockFlags kMlockOnFault = 1;

using MlockallFlags = std::uint32_t;
inline constexpr MlockallFlags kMclCurrent = 1;
inline constexpr MlockallFlags kMclFuture = 2;
inline constexpr MlockallFlags kMclOnFault = 4;

using MsyncFlags = std::uint32_t;
inline constexpr MsyncFlags kMsAsync = 1;
inline constexpr MsyncFlags kMsInvalidate = 2;
inline constexpr MsyncFlags kMsSync = 4;

enum class Madvice : std::int32_t {
  normal = 0,
  random = 1,
  sequential = 2,
  will_need = 3,
  dont_need = 4,
  free = 8,
  remove = 9,
  dont_fork = 10,
  do_fork = 11,
  mergeable = 12,
  unmergeable = 13,
  huge_page = 14,
  no_huge_page = 15,
  dont_dump = 16,
  do_dump = 17,
  wipe_on_fork = 18,
  keep_on_fork = 19,
  cold = 20,
  page_out = 21,
  populate_read = 22,
  populate_write = 23,
  dont_need_locked = 24,
  collapse = 25,
  guard_install = 102,
  guard_remove = 103,
};

}  // namespace faultline::mm
