// MissCurve: misses of one reference stream under one policy, by the number of frames. A step function: between two points the misses
// are those of the lower one, and with no frame at all every reference misses.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace faultline::analyze {

struct MissPoint {
  std::uint64_t frames = 0;
  double misses = 0;  // a whole number where the curve is exact
  bool operator==(const MissPoint&) const = default;
};

class MissCurve {
 public:
  MissCurve() = default;
  // Points by rising frames, each number of frames once.
  MissCurve(std::uint64_t references, std::vector<MissPoint> points, bool exact);

  std::uint64_t references() const { return references_; }
  const std::vector<MissPoint>& points() const { return points_; }
  bool exact() const { return exact_; }  // else an estimate from a sample

  double misses(std::uint64_t frames) const;
  double miss_ratio(std::uint64_t frames) const { return references_ == 0 ? 0 : misses(frames) / static_cast<double>(references_); }
  // More frames never mean more misses (a stack algorithm); FIFO may break it (Belady's anomaly), and so may estimates.
  bool monotonic() const;
  // The same with every rise cut off: the misses the best choice of at most that many frames has.
  MissCurve lower_envelope() const;
  // Where a frame more stops paying: the point furthest below the line from (0, all references) to the last point, both axes scaled to
  // one. None for a curve that never falls below that line, such as a cyclic scan's or one without points.
  std::optional<MissPoint> knee() const;
  // The smallest number of frames with at most that many misses.
  std::optional<std::uint64_t> frames_for(double misses) const;

 private:
  std::uint64_t references_ = 0;
  std::vector<MissPoint> points_;
  bool exact_ = true;
};

// The mean over sizes of the difference of two miss ratios.
double mean_absolute_error(const MissCurve& left, const MissCurve& right, std::span<const std::uint64_t> frames);

}  // namespace faultline::analyze
