// The memory of a process when it told its end, from what it told alone: /proc/self/smaps, and which pages of its anonymous mappings were
// resident (mincore). Needs no privileges; there is no such look at any other moment.
#pragma once

#include <optional>
#include <span>

#include "replay/follow/memory_look.h"

namespace faultline::replay {

// Pages of files are known by number, not by place: they stand at the start of their mapping. Page tables are not known. Nothing: the process
// did not tell.
std::optional<MemoryLook> look_at_exit(const trace::ProcessInfo& process, std::span<const trace::TouchObservation> touches);

}  // namespace faultline::replay
