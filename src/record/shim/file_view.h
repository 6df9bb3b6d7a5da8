// Unwind tables read through a mapping of our own of the same file: looking at them where the program has them mapped would bring
// pages into its memory that a run without the recorder does not have (64 KiB with each fault).
#pragma once

#include <cstdint>

#include "record/shim/eh_frame.h"

namespace faultline::shim {

// What to add to an address in [object.data_start, object.data_end) to read it in our mapping. 0: read it in place, because there is
// no such mapping: no file (vdso), another file at that path by now, no build id to tell by, no descriptor or address space left.
std::uint64_t file_view(const CodeObject& object);

// Of all that is loaded, at the start: later the program may have forbidden itself to open files (seccomp(2)). What dlopen(3) brings is
// mapped when it is first met, unless touches=0 asks for few system calls.
void make_file_views();

}  // namespace faultline::shim
