// The address space of a fresh image: what execve had mapped by the time of the first instruction, put together from the kernel's
// own mapping records. Counterpart: load_elf_binary() (fs/binfmt_elf.c), seen from outside.
#pragma once

#include <cstdint>
#include <span>

#include "mm/space/address_space.h"
#include "replay/follow/recorded_files.h"
#include "trace/system_event.h"

namespace faultline::replay {

// mapped: by time, all of the image until its first call. first_break: what brk(0) answered first; 0: never asked.
mm::AddressSpace::Layout layout_of_image(std::span<const trace::MappingEvent> mapped, std::uint64_t first_break);
void map_image(mm::AddressSpace& space, std::span<const trace::MappingEvent> mapped, trace::Pid pid, RecordedFiles& files);

}  // namespace faultline::replay
