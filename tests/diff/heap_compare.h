// The model against one run of the driver.
#pragma once

#include <optional>
#include <string>

#include "heap/parameters.h"
#include "heap_driver_run.h"

namespace faultline::diff {

struct Difference {
  std::size_t op = 0;
  std::string what;
};

// Nothing if the model gave every answer and made every system call that libc did.
std::optional<Difference> compare(const DriverRun& run, const std::vector<Op>& ops, const heap::Parameters& parameters);

// Where compare() is right now, for a message when an assertion of the model ends the process.
std::size_t current_op();

}  // namespace faultline::diff
