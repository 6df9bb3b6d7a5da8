// WhatIf: one joint setting as a user or the search names it, turned into what a replay needs.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "heap/parameters.h"
#include "replay/replay_plan.h"

namespace faultline::analyze {

struct WhatIf {
  heap::Parameters parameters;     // recorded settings included
  replay::TrimPeriod trim;         // malloc_trim_every_ms, malloc_trim_every_frees: a change of the program, no variable says it
  bool without_mallopt = false;    // mallopt=default: a change of the program, too
  std::vector<std::string> unset;  // variables of the recorded run that have to go: what they said cannot be said otherwise
  bool arena_estimate = false;     // which thread gets which arena follows glibc's rules with every lock free, not the recording
  double shared_blocks = 0;        // share of the blocks that another thread frees: what comes of them hangs on who is first
  bool huge_pages = false;         // what a fault brings depends on where in 2 MiB a block lies
  bool may_do_nothing = false;     // in some runs the program is as it was
  // One line each: what it costs that no prediction holds. Faults and calls are priced; the way through malloc and waiting for
  // locks are not.
  std::vector<std::string> unpriced;
  std::vector<std::string> assumptions;  // one line each: what must hold of the machine, and the recording does not tell

  bool changes_program() const { return trim.any() || without_mallopt; }
  // What to put before the command; empty if only the program changes.
  std::string environment() const;
  // The line to add to the program; empty if none is.
  std::string code() const;
};

inline constexpr const char* kTrimEveryMs = "malloc_trim_every_ms";
inline constexpr const char* kTrimEveryFrees = "malloc_trim_every_frees";
inline constexpr const char* kMallopt = "mallopt";

// "mmap_threshold=1M" style assignments on top of what the recorded run had; "=default" takes away what that had. The error lists what is known.
Result<WhatIf> what_if(const replay::Program& program, const std::vector<std::string>& settings);

}  // namespace faultline::analyze
