// Where a process's heap begins: right behind its bss, or at random up to 32 MiB above that (randomize_va_space, arch_randomize_brk()
// in arch/x86/kernel/process.c).
#pragma once

#include "trace/event.h"

namespace faultline::replay {

// Whether another run has it elsewhere. False where the recording does not tell.
bool heap_is_randomised(const trace::ProcessInfo& process);

}  // namespace faultline::replay
