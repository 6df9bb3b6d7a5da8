// MappedPages: how much address space a process has mapped, by the kinds that limits and /proc look at.
// Counterpart: mm->total_vm, data_vm, stack_vm, exec_vm, locked_vm and vm_stat_account() (mm/mmap.c).
#pragma once

#include <cstdint>

#include "mm/space/vma.h"

namespace faultline::mm {

constexpr bool is_data_mapping(VmFlags flags) { return (flags & (kVmWrite | kVmShared | kVmGrowsDown)) == kVmWrite; }
constexpr bool is_stack_mapping(VmFlags flags) { return (flags & kVmGrowsDown) != 0; }
constexpr bool is_exec_mapping(VmFlags flags) { return (flags & (kVmExec | kVmWrite | kVmGrowsDown)) == kVmExec; }

struct MappedPages {  // pages
  std::uint64_t total = 0;   // VmSize
  std::uint64_t data = 0;    // VmData
  std::uint64_t stack = 0;   // VmStk
  std::uint64_t exec = 0;
  std::uint64_t locked = 0;  // VmLck

  void add(VmFlags flags, std::uint64_t pages) {
    total += pages;
    if (std::uint64_t* kind = of_kind(flags)) *kind += pages;
    if ((flags & kVmLocked) != 0) locked += pages;
  }
  void remove(VmFlags flags, std::uint64_t pages) {
    total -= pages;
    if (std::uint64_t* kind = of_kind(flags)) *kind -= pages;
    if ((flags & kVmLocked) != 0) locked -= pages;
  }
  bool operator==(const MappedPages&) const = default;

 private:
  std::uint64_t* of_kind(VmFlags flags) {
    if (is_exec_mapping(flags)) return &exec;
    if (is_stack_mapping(flags)) return &stack;
    return is_data_mapping(flags) ? &data : nullptr;
  }
};

}  // namespace faultline::mm
