// The page cache of the files that recorded programs mapped, looked at from outside when the recording ends: what was cached then is
// what their faults met, as far as nothing was read or dropped meanwhile.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "trace/cached_file.h"
#include "trace/system_event.h"

namespace faultline::record {

// Looking reads nothing ahead and maps only what is cached. Nothing: the file is gone, another one, or cannot be opened.
std::optional<trace::CachedFile> look_at_file(const std::string& path, std::uint32_t device, std::uint64_t inode);

// Every file among the mappings once. Files above a size limit (1 GiB) are left out: looking would take seconds.
std::vector<trace::CachedFile> look_at_files(std::span<const trace::MappingEvent> mappings);

}  // namespace faultline::record
