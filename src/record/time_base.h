// The recording's zero on CLOCK_MONOTONIC_RAW, and pairs of the processor's tick with it.
#pragma once

#include <cstdint>

#include "trace/tick_clock.h"

namespace faultline::record {

std::uint64_t raw_now_ns();  // CLOCK_MONOTONIC_RAW

class TimeBase {
 public:
  TimeBase();                                  // now is zero
  std::uint64_t ns(std::uint64_t raw) const;   // of a CLOCK_MONOTONIC_RAW stamp; 0 for what lies before
  std::uint64_t now_ns() const;
  std::uint64_t zero_raw_ns() const { return zero_; }  // the stamp whose ns() is 0
  trace::TickPair pair() const;                // the tightest of a few readings

 private:
  std::uint64_t zero_;
};

}  // namespace faultline::record
