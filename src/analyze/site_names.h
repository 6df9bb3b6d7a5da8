// What a person calls an allocating call stack: the first frame that is the program's own, and the few callers above it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "analyze/symbolizer.h"
#include "trace/recording.h"

namespace faultline::analyze {

struct SiteName {
  std::string function;
  std::string file;      // empty without line information
  int line = 0;
  std::string module;
  std::string via;       // the library function that asked malloc for the program, e.g. "fopen"; empty for malloc itself
  std::vector<std::string> callers;  // up to four, nearest first

  // How many of the callers tell this site from others: 0, or more for a wrapper that many call (xmalloc).
  std::size_t depth = 0;

  std::string location() const;  // "file.cc:12", or the module's name
  // "f < caller (file.cc:12) via fopen", with each function as `shown` gives it.
  std::string line_of_text(std::string (*shown)(const std::string& function)) const;
  // Two stacks with the same key are one row of a table.
  std::string key() const;
};

// Frames of the C library, the C++ run-time library and std:: templates are trimmed from the inner end; wrappers that
// belong to the program (xmalloc) stay. A stack with nothing else keeps its innermost frame.
SiteName name_site(std::span<const std::uint64_t> return_addresses, Symbolizer& symbolizer);

// The instruction that touched memory. The kernel half is "kernel (read, recv, ...)".
SiteName name_instruction(std::uint64_t ip, Symbolizer& symbolizer);

}  // namespace faultline::analyze
