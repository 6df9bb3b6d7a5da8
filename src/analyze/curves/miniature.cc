#include "analyze/curves/miniature.h"

#include <cmath>

#include "analyze/curves/simulation.h"

namespace faultline::analyze {

Result<MissCurve> policy_curve(const mm::PolicyDescriptor& policy, PageStream& stream, std::span<const std::uint64_t> frames,
                               const mm::PolicyConfig& config) {
  const double rate = stream.sample().rate();
  std::vector<std::uint64_t> capacities;
  for (const std::uint64_t size : frames) {
    capacities.push_back(static_cast<std::uint64_t>(std::llround(static_cast<double>(size) * rate)));
    if (capacities.back() == 0) return fail(make_error("a memory of {} frames is too small for a sample of one page in {:.0f}", size, 1 / rate));
  }
  mm::PolicyConfig own = config;
  // Windows count references of the program, of which the miniature sees its share.
  if (config.window != 0) own.window = std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::llround(static_cast<double>(config.window) * rate)));
  FL_TRY(const std::vector<SimulationCounts> counts, simulate(policy, stream, capacities, own));
  std::vector<MissPoint> points;
  const double all = static_cast<double>(stream.references());
  for (std::size_t i = 0; i < frames.size(); ++i) {
    points.push_back({frames[i], std::min(static_cast<double>(counts[i].misses) / rate, all)});
  }
  return MissCurve(stream.references(), std::move(points), stream.sample().all());
}

}  // namespace faultline::analyze
