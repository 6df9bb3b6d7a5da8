// Numbers and field offsets of the kernel's system-call tracepoints, read from tracefs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/event.h"

namespace faultline::record {

struct CallTracepoints {
  trace::CallKind kind;
  std::uint64_t enter_id = 0, exit_id = 0;
  std::vector<std::size_t> argument_offsets;  // in the raw sample
  std::size_t result_offset = 0;
};

// The calls of trace::CallKind. Where tracefs is not mounted and the caller may, it is mounted for a moment in a mount
// namespace of a child's own: the system is left as it was.
Result<std::vector<CallTracepoints>> read_call_tracepoints();

}  // namespace faultline::record
