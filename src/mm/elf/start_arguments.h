// StartArguments: what execve is given, and what it takes from the machine and the process. All of it is input.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "mm/elf/script.h"

namespace faultline::mm::elf {

struct StartArguments {
  std::string filename;  // as execve(2) was given it: AT_EXECFN
  std::vector<std::string> argv;
  std::vector<std::string> envp{};
  // The scripts on the way to the ELF file, outermost first: `filename` is the first, the interpreter of each the next.
  std::vector<ScriptLine> scripts{};

  // Of the process.
  std::uint64_t uid = 0, euid = 0, gid = 0, egid = 0;
  bool secure = false;  // AT_SECURE: set-id or capabilities gained
  // Of the machine.
  std::uint64_t hwcap = 0, hwcap2 = 0;          // AT_HWCAP (CPUID leaf 1, EDX), AT_HWCAP2
  std::uint64_t min_signal_stack_bytes = 1776;  // AT_MINSIGSTKSZ: grows with the processor's registers
  std::array<std::uint8_t, 16> random{};        // what AT_RANDOM points to
};

}  // namespace faultline::mm::elf
