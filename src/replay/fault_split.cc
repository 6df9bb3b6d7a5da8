#include "replay/fault_split.h"

#include <algorithm>
#include <map>

namespace faultline::replay {
namespace {

// Heap events carry the CPU's tick counter, faults the kernel's clock: they are compared with this tolerance.
constexpr std::uint64_t kClockSlackNs = 20'000;

}  // namespace

std::vector<FaultArea> split_faults(std::span<const trace::FaultEvent> faults, std::vector<ChunkSpan> spans, AddressRange heap,
                                    std::span<const std::pair<std::uint64_t, std::uint64_t>> recorder_ranges) {
  std::sort(spans.begin(), spans.end(), [](const ChunkSpan& x, const ChunkSpan& y) { return x.birth_ns < y.birth_ns; });
  std::map<std::uint64_t, ChunkSpan> live;  // by start; a newer span pushes out what it overlaps
  auto enter = [&](const ChunkSpan& span) {
    auto at = live.lower_bound(span.start);
    if (at != live.begin() && std::prev(at)->second.end > span.start) --at;
    while (at != live.end() && at->second.start < span.end) at = live.erase(at);
    live.emplace(span.start, span);
  };
  std::vector<FaultArea> areas;
  areas.reserve(faults.size());
  std::size_t next = 0;
  for (const trace::FaultEvent& fault : faults) {
    while (next < spans.size() && spans[next].birth_ns <= fault.time_ns + kClockSlackNs) enter(spans[next++]);
    FaultArea area = FaultArea::rest;
    if (heap.contains(fault.address)) {
      area = FaultArea::heap;
    } else {
      auto at = live.upper_bound(fault.address);
      if (at != live.begin()) {
        const ChunkSpan& span = std::prev(at)->second;
        if (fault.address < span.end && fault.time_ns <= span.death_ns + std::min(kClockSlackNs, ~span.death_ns)) {
          area = span.area;
        }
      }
      for (const auto& [start, end] : recorder_ranges)
        if (area == FaultArea::rest && start <= fault.address && fault.address < end) area = FaultArea::recorder;
    }
    areas.push_back(area);
  }
  return areas;
}

}  // namespace faultline::replay
