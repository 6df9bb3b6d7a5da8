// What the process was started with, as far as malloc asks: tunables and environment as ld.so found them, the machine.
#pragma once

#include "heap/parameters.h"

namespace faultline::allocator {

// Allocates nothing and calls nothing of libc's that needs it to be set up: ld.so allocates before that.
heap::Parameters parameters_at_start();

}  // namespace faultline::allocator
