#include "replay/prediction.h"

#include <algorithm>

namespace faultline::replay {

std::uint64_t Observed::rss_peak_bytes_at(std::uint32_t time) const {
  const auto later = recorder_fault_times.end() - std::upper_bound(recorder_fault_times.begin(), recorder_fault_times.end(), time);
  return std::max(rss_sampled_peak_bytes, rss_peak_bytes + (static_cast<std::uint64_t>(later) << kPageShift));
}

double cost_of(const Prediction& p, const trace::MachineCosts& costs) {
  auto times = [](std::uint64_t count, double each) { return static_cast<double>(count) * each; };
  return times(p.malloc_minor(), costs.minor_fault_ns) + times(p.released_pages, costs.munmap_page_ns) +
         times(p.calls.brk, costs.brk_ns) + times(p.calls.mmap, costs.mmap_ns) + times(p.calls.munmap, costs.munmap_ns) +
         times(p.calls.mremap, costs.mremap_ns) + times(p.calls.madvise + p.calls.mprotect, costs.madvise_ns);
}

}  // namespace faultline::replay
