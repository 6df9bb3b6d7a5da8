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
  std::uint64_t ns(std::uint64_t tick) const {
    const std::uint64_t past = tick - last_.tick;
    if (past < last_.ticks) [[likely]] return last_.ns + scale(past, last_.ns_per_tick);
    return ns_elsewhere(tick);
  }
  std::uint64_t tick(std::uint64_t ns) const;  // inverse, to the nearest piece

 private:
  struct Piece {
    std::uint64_t tick = 0, ns = 0;
    std::uint64_t ticks = 0;  // how long it is; the last one is as long as a double is exact
    double ns_per_tick = 1;
  };
  static std::uint64_t scale(std::uint64_t ticks, double rate) {  // through signed numbers: one instruction each
    return static_cast<std::uint64_t>(static_cast<std::int64_t>(static_cast<double>(static_cast<std::int64_t>(ticks)) * rate));
  }
  std::uint64_t ns_elsewhere(std::uint64_t tick) const;

  std::vector<Piece> pieces_;
  mutable Piece last_;  // stamps come in order: the piece found last is the next one too
};

}  // namespace faultline::trace
