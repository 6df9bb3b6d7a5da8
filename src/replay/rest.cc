#include "replay/rest.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

namespace faultline::replay {
namespace {

constexpr std::uint64_t kMadvDontNeed = 4;
constexpr std::uint64_t kMapFixed = 0x10;
constexpr std::uint64_t kWindow = 16 * kPageSize;  // fault_around_bytes: a read fault on a file maps what is cached of this window

struct Page {
  std::uint64_t time_ns = 0;
  bool write = false;
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

bool from_recorder(const trace::FaultEvent& fault, const RestInput& input) {
  return std::any_of(input.recorder_ranges.begin(), input.recorder_ranges.end(),
                     [&](const auto& range) { return range.first <= fault.ip && fault.ip < range.second; });
}

// Pages of the mapping that a fault in it brings in.
std::uint64_t pages_around(const std::uint64_t address, const Mapping& mapping) {
  const std::uint64_t window = address / kWindow * kWindow;
  return overlap(mapping.start, mapping.end, window, window + kWindow) >> kPageShift;
}

// A mapping's pages at the end, over the faults in it until then, as they brought them in: the first in a window of a file all of it.
void spread(double pages, const Mapping& mapping, const std::map<std::uint64_t, Page>& live, const RestInput& input, std::vector<Step>& steps) {
  std::vector<Step> faults;
  std::uint64_t last_window = 0;  // its step is faults[of_window]
  std::size_t of_window = 0;
  double all = 0;
  for (auto at = live.lower_bound(mapping.start); at != live.end() && at->first < mapping.end; ++at) {
    if (input.exit_report_ns != 0 && at->second.time_ns > input.exit_report_ns) continue;
    Step fault{at->second.time_ns, 1};
    if (mapping.name.starts_with('/') && !at->second.write) {
      const std::uint64_t window = at->first / kWindow * kWindow;
      if (window == last_window) {
        faults[of_window].time_ns = std::min(faults[of_window].time_ns, fault.time_ns);
        continue;
      }
      last_window = window;
      of_window = faults.size();
      fault.pages = static_cast<double>(pages_around(at->first, mapping));
    }
    faults.push_back(fault);
    all += fault.pages;
  }
  if (faults.empty()) steps.push_back({0, pages});
  for (const Step& fault : faults) steps.push_back({fault.time_ns, pages * fault.pages / all});
}

}  // namespace

Borrowed borrowed_by_recorder(const RestInput& input) {
  Borrowed borrowed;
  for (std::size_t i = 0; i < input.faults.size(); ++i) {
    const trace::FaultEvent& fault = input.faults[i];
    if (input.areas[i] != FaultArea::rest || !from_recorder(fault, input)) continue;
    for (const Mapping& mapping : input.exit_mappings) {
      if (fault.address < mapping.start || fault.address >= mapping.end || !mapping.name.starts_with('/')) continue;
      borrowed.pages += pages_around(fault.address, mapping);
      ++borrowed.faults;
    }
  }
  // Half of them are there without the recorder too, by windows that lie otherwise or a later access of the program: measured,
  // the tuning programs of bench/whatif.
  borrowed.pages /= 2;
  return borrowed;
}

Late late_pages(const RestInput& input) {
  Late late;
  if (input.exit_report_ns == 0) return late;
  std::set<std::uint64_t> seen;
  for (std::size_t i = 0; i < input.faults.size(); ++i) {
    const trace::FaultEvent& fault = input.faults[i];
    if (fault.time_ns <= input.exit_report_ns || input.areas[i] != FaultArea::rest || from_recorder(fault, input)) continue;
    for (const Mapping& mapping : input.exit_mappings) {
      if (fault.address < mapping.start || fault.address >= mapping.end) continue;
      const bool around = mapping.name.starts_with('/') && fault.access != trace::FaultAccess::write;
      if (seen.insert(around ? fault.address / kWindow * kWindow : page_floor(fault.address)).second) late.pages += around ? pages_around(fault.address, mapping) : 1;
    }
  }
  return late;
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
    if (input.areas[i] == FaultArea::rest) live.try_emplace(page_floor(fault.address), Page{fault.time_ns, fault.access == trace::FaultAccess::write});
  }
  while (next_call < input.calls.size()) apply_call(input.calls[next_call++]);

  auto one_each = [&](std::uint64_t start, std::uint64_t end) {
    for (auto at = live.lower_bound(start); at != live.end() && at->first < end; ++at) steps.push_back({at->second.time_ns, 1});
  };
  if (input.exit_mappings.empty()) one_each(0, ~std::uint64_t{0});
  for (const Mapping& mapping : input.exit_mappings) {
    if (overlap(mapping.start, mapping.end, input.heap.start, input.heap.end) != 0) continue;
    const double pages = rest_pages_of(mapping, input);
    if (pages < 0) {
      one_each(mapping.start, mapping.end);
    } else {
      spread(pages, mapping, live, input, steps);
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
