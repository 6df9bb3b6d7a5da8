// Where the mapping area begins. Counterpart: mmap_base() and arch_pick_mmap_layout() (arch/x86/mm/mmap.c), ASLR off.
#pragma once

#include "mm/space/address_space.h"

namespace faultline::mm::elf {

// The layout of an address space into which load() is to load a program. set_id: the program is set-user-ID or the like
// (AT_SECURE), which caps what counts of RLIMIT_STACK. start_brk is not known before loading.
AddressSpace::Layout layout_at_start(const KernelProfile& profile, const ResourceLimits& limits, bool set_id = false);

}  // namespace faultline::mm::elf
