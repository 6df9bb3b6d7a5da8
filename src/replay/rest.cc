#include "replay/rest.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace faultline::replay {
namespace {

constexpr std::uint64_t kMadvDontNeed = 4;
constexpr std::uint64_t kMapFixed = 0x10;

struct Page {
  std::uint64_t time_ns = 0;
};

struct Step {
  std::uint64_t time_ns = 0;
  double pages = 0;
};

// Range whose pages a call takes away; empty if it takes none.
AddressRange taken_by(const trace::MemoryCall& call) {
  if (call.result < 0 && call.result > -4096) return {};
  switch (call.kind) {
    case trace::CallKind::munmap:
      return {call.args[0], page_ceil(call.args[0] + call.args[1])};
    case trace::CallKind::madvise:
      if (call.args[2] == kMadvDontNeed) return {call.args[0], page_ceil(call.args[0] + call.args[1])};
      return {};
    case trace::CallKind::mmap:
      if (call.args[3] & kMapFixed) return {call.args[0], page_ceil(call.args[0] + call.args[1])};
      return {};
    default:
      return {};
  }
}

std::uint64_t overlap(std::uint64_t a, std::uint64_t b, std::uint64_t c, std::uint64_t d) {
  const std::uint64_t low = std::max(a, c), high = std::min(b, d);
  return low < high ? high - low : 0;
}

// Pages of the mapping at the end that belong to the rest, or -1 if the mapping says nothing.
double rest_pages_of(const Mapping& mapping, const RestInput& input) {
  if (mapping.end <= mapping.start || mapping.name == "[vsyscall]") return 0;
  // The recorder counts a mapping that begins in one of its ranges as its own, whole (its image's bss has a ragged end).
  for (const auto& [start, end] : input.recorder_ranges)
    if (start <= mapping.start && mapping.start < end) return 0;
  if (!mapping.rss_bytes) return -1;
  double pages = static_cast<double>(*mapping.rss_bytes >> kPageShift);
  // A chunk may have merged into one mapping with the program's own anonymous memory: take the chunk's pages out.
  for (const ChunkSpan& chunk : input.live_chunks) {
    const std::uint64_t shared = overlap(mapping.start, mapping.end, chunk.start, chunk.end);
    if (shared == 0) continue;
    const std::uint64_t low = std::max(mapping.start, chunk.start);
    pages -= input.residency && !input.residency->empty()
                 ? static_cast<double>(input.residency->resident_pages(low, low + shared))
                 : static_cast<double>(shared >> kPageShift);
  }
  return std::max(0.0, pages);
}

}  // namespace

Borrowed borrowed_by_recorder(const RestInput& input) {
  constexpr std::uint64_t kWindow = 16 * kPageSize;  // fault_around_bytes
  Borrowed borrowed;
  for (std::size_t i = 0; i < input.faults.size(); ++i) {
    const trace::FaultEvent& fault = input.faults[i];
    auto of_recorder = [&](const auto& range) { return range.first <= fault.ip && fault.ip < range.second; };
    if (input.areas[i] != FaultArea::rest || std::none_of(input.recorder_ranges.begin(), input.recorder_ranges.end(), of_recorder)) continue;
    for (const Mapping& mapping : input.exit_mappings) {
      if (fault.address < mapping.start || fault.address >= mapping.end || !mapping.name.starts_with('/')) continue;
      const std::uint64_t window = fault.address / kWindow * kWindow;
      borrowed.pages += overlap(mapping.start, mapping.end, window, window + kWindow) >> kPageShift;
      ++borrowed.faults;
    }
  }
  // Half of them are there without the recorder too, by windows that lie otherwise or a later access of the program: measured,
  // the tuning programs of bench/whatif.
  borrowed.pages /= 2;
  return borrowed;
}

std::vector<RestStep> rest_timeline(const RestInput& input) {
  std::map<std::uint64_t, Page> live;  // page -> first fault of its present life
  std::vector<Step> steps;
  std::size_t next_call = 0;
  auto apply_call = [&](const trace::MemoryCall& call) {
    const AddressRange range = taken_by(call);
    for (auto at = live.lower_bound(range.start); at != live.end() && at->first < range.end; at = live.erase(at)) {
      steps.push_back({at->second.time_ns, 1});
      steps.push_back({call.begin_ns, -1});
    }
  };
  for (std::size_t i = 0; i < input.faults.size(); ++i) {
    const trace::FaultEvent& fault = input.faults[i];
    while (next_call < input.calls.size() && input.calls[next_call].begin_ns <= fault.time_ns) apply_call(input.calls[next_call++]);
    if (input.areas[i] == FaultArea::rest) live.try_emplace(page_floor(fault.address), Page{fault.time_ns});
  }
  while (next_call < input.calls.size()) apply_call(input.calls[next_call++]);

  auto one_each = [&](std::uint64_t start, std::uint64_t end) {
    for (auto at = live.lower_bound(start); at != live.end() && at->first < end; ++at) steps.push_back({at->second.time_ns, 1});
  };
  if (input.exit_mappings.empty()) one_each(0, ~std::uint64_t{0});
  for (const Mapping& mapping : input.exit_mappings) {
    if (overlap(mapping.start, mapping.end, input.heap.start, input.heap.end) != 0) continue;
    const double pages = rest_pages_of(mapping, input);
    const auto first = live.lower_bound(mapping.start), last = live.lower_bound(mapping.end);
    const auto faults = static_cast<double>(std::distance(first, last));
    if (pages < 0) {
      one_each(mapping.start, mapping.end);
    } else if (faults == 0) {
      steps.push_back({0, pages});
    } else {
      for (auto at = first; at != last; ++at) steps.push_back({at->second.time_ns, pages / faults});
    }
  }

  std::sort(steps.begin(), steps.end(), [](const Step& x, const Step& y) { return x.time_ns < y.time_ns; });
  std::vector<RestStep> timeline;
  double pages = 0;
  for (const Step& step : steps) {
    pages += step.pages;
    const auto time = static_cast<std::uint32_t>(step.time_ns / input.time_unit_ns);
    const auto now = static_cast<std::uint64_t>(std::llround(std::max(0.0, pages)));
    if (!timeline.empty() && timeline.back().time == time) {
      timeline.back().pages = std::max(now, timeline.back().pages);
    } else if (timeline.empty() || timeline.back().pages != now) {
      timeline.push_back({time, now});
    }
  }
  if (!timeline.empty()) {  // a step kept the highest value of its instant; the last one must be the value at the end
    const auto end = static_cast<std::uint64_t>(std::llround(std::max(0.0, pages)));
    if (timeline.back().pages != end) timeline.push_back({timeline.back().time, end});
  }
  return timeline;
}

}  // namespace faultline::replay
