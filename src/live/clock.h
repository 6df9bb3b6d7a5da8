// The clock intervals are measured with: CLOCK_MONOTONIC, which nobody sets (clock_gettime(2)).
#pragma once

#include <cstdint>
#include <ctime>

namespace faultline::live {

inline std::uint64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace faultline::live
