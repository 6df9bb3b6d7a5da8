#include "analyze/curves/miss_curve.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/assert.h"

namespace faultline::analyze {

MissCurve::MissCurve(std::uint64_t references, std::vector<MissPoint> points, bool exact)
    : references_(references), points_(std::move(points)), exact_(exact) {
  for (std::size_t i = 1; i < points_.size(); ++i) FL_ASSERT(points_[i - 1].frames < points_[i].frames);
}

double MissCurve::misses(std::uint64_t frames) const {
  const auto above = std::upper_bound(points_.begin(), points_.end(), frames,
                                      [](std::uint64_t wanted, const MissPoint& point) { return wanted < point.frames; });
  return above == points_.begin() ? static_cast<double>(references_) : std::prev(above)->misses;
}

bool MissCurve::monotonic() const {
  double before = static_cast<double>(references_);
  return std::all_of(points_.begin(), points_.end(), [&](const MissPoint& point) { return std::exchange(before, point.misses) >= point.misses; });
}

MissCurve MissCurve::lower_envelope() const {
  MissCurve cut = *this;
  double least = static_cast<double>(references_);
  for (MissPoint& point : cut.points_) point.misses = least = std::min(least, point.misses);
  return cut;
}

std::optional<MissPoint> MissCurve::knee() const {
  if (points_.empty()) return std::nullopt;
  const MissPoint& last = points_.back();
  const double all = static_cast<double>(references_), fall = all - last.misses;
  if (last.frames == 0 || fall <= 0) return std::nullopt;
  std::optional<MissPoint> knee;
  double furthest = 1e-9;
  for (const MissPoint& point : points_) {
    const double below = (all - point.misses) / fall - static_cast<double>(point.frames) / static_cast<double>(last.frames);
    if (below > furthest) {
      furthest = below;
      knee = point;
    }
  }
  return knee;
}

std::optional<std::uint64_t> MissCurve::frames_for(double misses) const {
  if (misses >= static_cast<double>(references_)) return 0;
  for (const MissPoint& point : points_) {
    if (point.misses <= misses) return point.frames;
  }
  return std::nullopt;
}

double mean_absolute_error(const MissCurve& left, const MissCurve& right, std::span<const std::uint64_t> frames) {
  double sum = 0;
  for (const std::uint64_t size : frames) sum += std::abs(left.miss_ratio(size) - right.miss_ratio(size));
  return frames.empty() ? 0 : sum / static_cast<double>(frames.size());
}

}  // namespace faultline::analyze
