#include "replay/observed_faults.h"

#include <algorithm>
#include <unordered_set>
#include <vector>

#include "base/units.h"
#include "replay/observed_rss.h"

namespace faultline::replay {
namespace {

// When each page of the recorder's came in.
std::vector<std::uint64_t> recorder_page_times(std::span<const trace::FaultEvent> faults, std::span<const FaultArea> areas) {
  std::vector<std::uint64_t> times;
  std::unordered_set<std::uint64_t> pages;
  for (std::size_t i = 0; i < faults.size(); ++i)
    if (areas[i] == FaultArea::recorder && pages.insert(page_floor(faults[i].address)).second) times.push_back(faults[i].time_ns);
  return times;
}

}  // namespace

Observed observed_faults(trace::Recording& recording, const trace::ProcessInfo& process, std::span<const trace::FaultEvent> faults,
                         std::span<const FaultArea> areas, std::uint64_t time_unit_ns) {
  Observed seen;
  seen.faults = recording.meta().faults_recorded;
  std::uint64_t recorder_minor = 0, recorder_major = 0;
  for (std::size_t i = 0; i < faults.size(); ++i) {
    const bool minor = faults[i].kind == trace::FaultKind::minor;
    switch (areas[i]) {
      case FaultArea::heap: ++(minor ? seen.heap_minor : seen.heap_major); break;
      case FaultArea::mmapped_chunk: ++(minor ? seen.mmapped_minor : seen.mmapped_major); break;
      case FaultArea::thread_heap: ++(minor ? seen.thread_heap_minor : seen.thread_heap_major); break;
      case FaultArea::rest: ++(minor ? seen.rest_minor : seen.rest_major); break;
      case FaultArea::recorder: ++(minor ? recorder_minor : recorder_major); break;
    }
  }
  if (!process.exit_seen) return seen;
  // The process's own count is the whole; what no event explains belongs to the rest. Populating the recorder's own memory
  // counts in rusage but raises no event: recorder_faults knows of both.
  const std::uint64_t events = seen.minor() + std::max(recorder_minor, process.recorder_faults);
  if (process.minor_faults > events) {
    seen.unattributed_minor = process.minor_faults - events;
    seen.rest_minor += seen.unattributed_minor;
  }
  if (process.major_faults > seen.major() + recorder_major) seen.rest_major += process.major_faults - seen.major() - recorder_major;
  const std::vector<std::uint64_t> recorder_times = recorder_page_times(faults, areas);
  for (const std::uint64_t time : recorder_times) seen.recorder_fault_times.push_back(static_cast<std::uint32_t>(time / time_unit_ns));
  seen.rss_sampled_peak_bytes = sampled_peak_bytes(recording.rss_samples(process.pid), process, recorder_times);
  seen.rss_peak_bytes = process.rss_peak_bytes;
  seen.rss_end_bytes = process.rss_end_bytes;
  if (seen.rss_peak_bytes > seen.rss_end_bytes) seen.rss_peak_resolution_bytes = peak_resolution_bytes(process.cpus_online);
  return seen;
}

}  // namespace faultline::replay
