// Which system calls are memory calls, by their x86-64 numbers, and how their arguments are recorded.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "trace/event.h"

namespace faultline::record {

std::optional<trace::CallKind> memory_call(std::uint64_t number);

// Turns the arguments of the kernel's ABI into those of call.kind. False: this prctl is not about memory.
bool normalise(std::uint64_t number, trace::MemoryCall& call);

// A trace event filter over a field `id` that lets the memory calls pass (Documentation/trace/events.rst, event filtering).
std::string memory_call_filter();

// After a successful prlimit of `pid`: what is set now. Leaves kUnknownLimit where the process cannot be asked (any more).
void ask_for_limit(trace::Pid pid, trace::MemoryCall& call);

// A prlimit whose limit is not known, or that set none.
void unknown_limit(trace::MemoryCall& call);

}  // namespace faultline::record
