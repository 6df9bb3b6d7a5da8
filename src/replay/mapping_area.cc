#include "replay/mapping_area.h"

#include <algorithm>
#include <vector>

#include "base/units.h"
#include "replay/smaps.h"

namespace faultline::replay {

std::uint64_t mapping_area_top(const trace::ProcessInfo& process, std::span<const trace::MemoryCall> calls, std::uint64_t first_chunk_ns) {
  constexpr std::uint64_t kSpread = std::uint64_t{1} << 32;  // the libraries of one program lie closer together
  std::vector<Mapping> mappings = parse_smaps(process.start_maps);
  auto of_recorder = [&](const Mapping& mapping) {
    return std::any_of(process.recorder_ranges.begin(), process.recorder_ranges.end(),
                       [&](const auto& range) { return range.first <= mapping.start && mapping.start < range.second; });
  };
  // From the highest mapping below the stack down to the lowest of the program's own.
  std::uint64_t low = 0;
  for (auto mapping = mappings.rbegin(); mapping != mappings.rend(); ++mapping) {
    if (mapping->name == "[stack]" || mapping->name == "[vsyscall]") continue;
    if (low != 0 && mapping->end + kSpread < low) break;
    if (!of_recorder(*mapping)) low = mapping->start;
  }
  if (low == 0) return 0;
  // The recorder's mappings above it pushed it down.
  std::uint64_t top = low;
  for (const Mapping& mapping : mappings)
    if (mapping.start > low && of_recorder(mapping)) top += mapping.end - mapping.start;
  for (const trace::MemoryCall& call : calls) {
    if (call.kind != trace::CallKind::mmap || call.begin_ns >= first_chunk_ns || call.begin_ns < process.start_report_ns || call.args[0] != 0) continue;
    const auto place = static_cast<std::uint64_t>(call.result);
    const bool recorder = std::any_of(process.recorder_ranges.begin(), process.recorder_ranges.end(),
                                      [&](const auto& range) { return range.first <= place && place < range.second; });
    if (call.result > 0 && !recorder) top -= page_ceil(call.args[1]);
  }
  return page_floor(top);
}

}  // namespace faultline::replay
