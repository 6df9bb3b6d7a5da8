// A process that was forked and did not exec, seen from the beginning of its heap: what its ancestors did up to the forks, then
// what it did itself, as one process.
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "trace/recording.h"

namespace faultline::trace {

struct ForkPoint {
  std::uint64_t time_ns = 0;
  Tid thread = 0;  // that went on in the child; it keeps this number there
};

struct ForkedRecording {
  std::unique_ptr<Recording> recording;  // of one process, under the child's pid; `whole` outlives it
  std::vector<ForkPoint> forks;          // oldest first; the last one is the child's birth
};

// Fails where an ancestor was not recorded, or the moment of a fork was not.
Result<ForkedRecording> forked_recording(Recording& whole, const ProcessInfo& child);

}  // namespace faultline::trace
