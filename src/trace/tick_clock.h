// Ticks of the time stamp counter into nanoseconds since the start of the recording, by calibration pairs.
#pragma once

#include <cstdint>
#include <vector>

namespace faultline::trace {

// CLOCK_MONOTONIC_RAW is the same counter scaled without NTP, so two pairs are enough in principle; the recorder
// takes more so that a migrated virtual machine shows as a bend instead of a drift.
struct TickPair {
  std::uint64_t tick;
  std::uint64_t ns;  // since the start of the recording
};

class TickClock {
 public:
  TickClock() = default;
  // Pairs that do not increase in both columns are ignored. With fewer than two, one tick counts as one nanosecond.
  explicit TickClock(std::vector<TickPair> pairs);

  // Piecewise linear; the first and the last piece extend to the outside. Never below 0. Never decreasing.
  std::uint64_t ns(std::uint64_t tick) const;
  std::uint64_t tick(std::uint64_t ns) const;  // inverse, to the nearest piece

 private:
  struct Piece {
    std::uint64_t tick, ns;
    double ns_per_tick;
  };
  std::vector<Piece> pieces_;
  mutable std::size_t last_ = 0;  // stamps come in order: the piece found last is the next one too
};

}  // namespace faultline::trace
