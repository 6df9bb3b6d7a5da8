// Numbers as people read them, for the commands that print predictions.
#pragma once

#include <cstdint>
#include <string>

#include "replay/prediction.h"
#include "replay/verify.h"

namespace faultline::analyze {

std::string bytes_text(std::uint64_t bytes);   // "12.3 MiB"
std::string time_text(double ns);              // "1.23 ms"
std::string calls_text(const replay::CallCounts& calls);  // "brk 12, mmap 3, munmap 3", "none"
// "verify: faults ±0.4 %, peak RSS ±1.0 %"
std::string error_bar_text(const replay::Verification& verification);
// "minor faults 1,234 -> 56, calls 12 -> 3, peak RSS 1.0 MiB -> 1.2 MiB, RSS at exit ...: 1.2 ms saved", or that there is no difference.
std::string difference_text(const replay::Prediction& before, const replay::Prediction& after);
// What an answer about arena_max or arena_test rests on.
std::string arena_estimate_text();
// "; 1,234 faults on pages ..." or nothing.
std::string unseen_text(const replay::Prediction& prediction);

}  // namespace faultline::analyze
