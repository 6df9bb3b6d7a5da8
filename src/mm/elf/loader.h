// load(): a program into a fresh address space, up to its first instruction.
// Counterpart: load_elf_binary() and load_elf_interp() (fs/binfmt_elf.c), map_vdso() (arch/x86/entry/vdso/vma.c); Linux 6.18,
// x86-64, ASLR off.
#pragma once

#include <cstdint>
#include <vector>

#include "mm/elf/exec_file.h"
#include "mm/elf/initial_stack.h"
#include "mm/elf/start_arguments.h"
#include "mm/space/address_space.h"

namespace faultline::mm::elf {

// Files of the mappings that no file is behind; Vma::file of [vvar], [vvar_vclock] and [vdso].
inline constexpr std::uint32_t kVvarFile = 0x7fff'fff0;
inline constexpr std::uint32_t kVvarClockFile = 0x7fff'fff1;
inline constexpr std::uint32_t kVdsoFile = 0x7fff'fff2;

// execve's refusal. Until the old address space is gone the caller gets the errno; after that the process dies of SIGSEGV
// and nobody sees it.
struct ExecFailure {
  Errno error{};
  bool kills = false;
};

// struct mm_struct's marks, as /proc/PID/stat shows them.
struct StartState {
  std::uint64_t entry = 0;           // the first instruction: of the interpreter, or of the program when it has none
  std::uint64_t stack_pointer = 0;   // also mm->start_stack
  std::uint64_t load_bias = 0;       // of the program
  LoadedAddresses loaded;
  std::uint64_t start_code = 0, end_code = 0, start_data = 0, end_data = 0;
  std::uint64_t arg_start = 0, arg_end = 0, env_start = 0, env_end = 0;
  std::vector<AuxEntry> auxv;        // ends with AT_NULL
  std::vector<std::uint8_t> stack;   // from the stack pointer to the end of the stack mapping
};

// space: empty, with layout_at_start(). interpreter: not null exactly when the program names one. The program break is set; the
// pages the kernel writes on the way are faulted in and counted as the process's minor faults, as Linux counts them.
Result<StartState, ExecFailure> load(AddressSpace& space, const ExecFile& program, const ExecFile* interpreter,
                                     const StartArguments& arguments);

// The same in execve's order: the strings are copied before any file is looked at. stack: of this space, with strings.
Result<StartState, ExecFailure> load(AddressSpace& space, InitialStack& stack, const ExecFile& program,
                                     const ExecFile* interpreter, const StartArguments& arguments);

}  // namespace faultline::mm::elf
