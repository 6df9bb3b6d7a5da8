// /proc/PID/{maps,smaps,smaps_rollup,statm,status,stat} as Linux 6.18 writes them, byte for byte where a field is memory.
// Counterpart: fs/proc/task_mmu.c (maps, smaps, task_mem(), task_statm()), fs/proc/array.c (stat).
//
// What a twin cannot know is given to it (ProcNames) or left at 0: the files behind mappings, and in stat everything that
// is not memory. Pages are 4 KiB; KSM, huge pages and swap do not appear yet.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "mm/machine/process.h"

namespace faultline::mm {

struct MappingName {
  std::string text;  // path, "/dev/zero (deleted)", "[vdso]"; empty: the twin's own, [heap], [stack] or nothing
  std::uint32_t device_major = 0, device_minor = 0;
  std::uint64_t inode = 0;
};

struct ProcNames {
  std::function<MappingName(const Vma&)> of;  // null: every mapping is nameless
  std::string command = "twin";               // the name in parentheses in stat
  std::uint64_t start_code = 0, end_code = 0, start_data = 0, end_data = 0;  // mm->start_code ..., of the executable
  std::uint64_t start_stack = 0;              // decides which mapping is [stack]
  std::uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  bool vsyscall = true;                       // the gate at the end of maps and smaps (vsyscall=xonly)
};

std::string maps_text(const AddressSpace& space, const ProcNames& names);
std::string smaps_text(const AddressSpace& space, const ProcNames& names);
std::string smaps_rollup_text(const AddressSpace& space);
std::string statm_text(const AddressSpace& space, const ProcNames& names);
std::string status_text(const AddressSpace& space, const ProcNames& names);  // the lines VmPeak to VmSwap
std::string stat_text(const Process& process, const ProcNames& names);

}  // namespace faultline::mm
