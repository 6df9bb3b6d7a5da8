#include "replay/observed_rss.h"

#include <algorithm>

#include "base/units.h"

namespace faultline::replay {

std::uint64_t peak_resolution_bytes(int cpus) {
  const auto count = static_cast<std::uint64_t>(std::max(1, cpus));
  return 2 * count * std::max<std::uint64_t>(32, 2 * count) * kPageSize;
}

std::uint64_t sampled_peak_bytes(std::span<const trace::RssSample> samples, const trace::ProcessInfo& process,
                                 std::span<const std::uint64_t> recorder_faults) {
  std::uint64_t peak = 0;
  for (const trace::RssSample& sample : samples) {
    if (sample.time_ns < process.start_ns || (process.exit_report_ns != 0 && sample.time_ns > process.exit_report_ns)) continue;
    const auto later = static_cast<std::uint64_t>(recorder_faults.end() - std::upper_bound(recorder_faults.begin(), recorder_faults.end(), sample.time_ns));
    const std::uint64_t recorder = process.recorder_rss_bytes - std::min(process.recorder_rss_bytes, later * kPageSize);
    peak = std::max(peak, sample.rss_bytes - std::min(sample.rss_bytes, recorder));
  }
  return peak;
}

}  // namespace faultline::replay
