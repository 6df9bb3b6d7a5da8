// Vma: one mapping of an address space. Counterpart: struct vm_area_struct (include/linux/mm_types.h).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/units.h"
#include "mm/backing/swap_read_ahead.h"

namespace faultline::mm {

// Who asked for the memory; the twin's counters are kept per tag. As with Linux's anon_vma_name (PR_SET_VMA_ANON_NAME),
// mappings of different tags never merge.
enum class VmaTag : std::uint8_t { other, heap, mmapped_chunk, thread_heap };
inline constexpr std::size_t kVmaTags = 4;

enum class VmaKind : std::uint8_t { anonymous, file };

using VmFlags = std::uint32_t;  // vm_flags, the ones that decide something here
inline constexpr VmFlags kVmRead = 1u << 0;
inline constexpr VmFlags kVmWrite = 1u << 1;
inline constexpr VmFlags kVmExec = 1u << 2;
inline constexpr VmFlags kVmShared = 1u << 3;
inline constexpr VmFlags kVmGrowsDown = 1u << 4;
inline constexpr VmFlags kVmAccount = 1u << 5;    // counted against the commit limit
inline constexpr VmFlags kVmNoReserve = 1u << 6;
inline constexpr VmFlags kVmHugePage = 1u << 7;
inline constexpr VmFlags kVmNoHugePage = 1u << 8;
inline constexpr VmFlags kVmRandomRead = 1u << 9;
inline constexpr VmFlags kVmSequentialRead = 1u << 10;
inline constexpr VmFlags kVmDontCopy = 1u << 11;    // MADV_DONTFORK
inline constexpr VmFlags kVmWipeOnFork = 1u << 12;
inline constexpr VmFlags kVmLocked = 1u << 13;
inline constexpr VmFlags kVmLockOnFault = 1u << 14;  // only together with kVmLocked
inline constexpr VmFlags kVmDontDump = 1u << 15;
inline constexpr VmFlags kVmMergeable = 1u << 16;    // KSM may merge pages: a wish, nothing here merges any
inline constexpr VmFlags kVmDroppable = 1u << 17;
inline constexpr VmFlags kVmDontExpand = 1u << 18;
inline constexpr VmFlags kVmIo = 1u << 19;
inline constexpr VmFlags kVmPfnMap = 1u << 20;
inline constexpr VmFlags kVmMayShare = 1u << 21;   // mapped MAP_SHARED; kVmShared is missing where the file is open for reading only
inline constexpr VmFlags kVmNeverWrite = 1u << 22; // mprotect may not make it writable (no VM_MAYWRITE)
inline constexpr VmFlags kVmMaybeGuard = 1u << 23;   // MADV_GUARD_INSTALL was here once
inline constexpr VmFlags kVmSticky = kVmMaybeGuard;  // keeps no mappings apart, and what they become has it if one had
inline constexpr VmFlags kVmLockedMask = kVmLocked | kVmLockOnFault;
inline constexpr VmFlags kVmSpecial = kVmDontExpand | kVmIo | kVmPfnMap;  // vvar, vdso, devices: never locked, never merged
inline constexpr VmFlags kVmAccess = kVmRead | kVmWrite | kVmExec;

struct AnonChain;  // space/anon_vma.h
class OpenFile;    // backing/open_file.h

struct Vma {
  std::uint64_t start = 0;   // bytes, page aligned
  std::uint64_t end = 0;     // exclusive
  std::uint64_t pgoff = 0;   // pages; anonymous: start >> 12 at the time of the first fault, so a moved mapping keeps it
  AnonChain* anon_vma = nullptr;  // null: no anonymous page was ever faulted in. VmaTree counts its users
  VmFlags flags = 0;
  VmaKind kind = VmaKind::anonymous;
  VmaTag tag = VmaTag::other;
  std::uint32_t file = 0;    // kind file: the caller's number for the file; equal numbers may merge
  OpenFile* backing = nullptr;  // kind file: null for an opaque one. VmaTree counts its users
  VmaReadAhead swap_read_ahead;  // swap_readahead_info

  std::uint64_t length() const { return end - start; }
  std::uint64_t pages() const { return (end - start) >> kPageShift; }
  bool contains(std::uint64_t address) const { return start <= address && address < end; }
  bool writable() const { return (flags & kVmWrite) != 0; }
  bool accessible() const { return (flags & kVmAccess) != 0; }
  bool anonymous() const { return kind == VmaKind::anonymous; }
  std::uint64_t pgoff_at(std::uint64_t address) const { return pgoff + ((address - start) >> kPageShift); }
  bool operator==(const Vma&) const = default;
};

}  // namespace faultline::mm
