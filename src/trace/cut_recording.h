// A damaged or unfinished recording, seen only up to the moment until which every stream of it is complete. Beyond that
// moment one stream may hold what another has lost, and a comparison would blame the twin for the damage.
#pragma once

#include <memory>

#include "trace/recording.h"

namespace faultline::trace {

// until_ns: nothing later is shown. A process that reported its end later is one whose end was not seen.
std::unique_ptr<Recording> cut_recording(std::unique_ptr<Recording> whole, std::uint64_t until_ns);

// Recording::open, cut if damage shows already at opening.
Result<std::unique_ptr<Recording>> open_complete(const std::string& path);

}  // namespace faultline::trace
