// How far an ELF file reaches in memory, its bss included: what lies behind is not its own, however closely.
#pragma once

#include <cstdint>
#include <optional>

#include "live/proc.h"

namespace faultline::live {

// From the start of its first PT_LOAD segment to the end of its last one in memory, in bytes, whole pages (elf(5)). None: not a 64-bit ELF file.
std::optional<std::uint64_t> image_bytes(int file);

// The same of a file as the process sees it; none if it is gone (deleted, replaced) or not readable.
std::optional<std::uint64_t> image_bytes(const Proc& proc, Pid pid, const std::string& path);

}  // namespace faultline::live
