// `top` on a terminal: processes by fault rate, and the mappings of the one chosen.
#pragma once

#include <string>

#include "live/view/top_rows.h"

namespace faultline::live {

struct TopOptions {
  double seconds = 1;  // between refreshes
  TopOrder order = TopOrder::faults;
  bool kernel_threads = false;
};

// Until q is pressed. Fails if the terminal's kind is not known (TERM).
Result<void> run_top_screen(const Proc& proc, const TopOptions& options);

}  // namespace faultline::live
