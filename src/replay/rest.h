// Resident pages of everything that is not malloc's: files, stack, data, the program's own mappings.
// They are not predicted. They are put together from what was recorded, never from RSS samples:
//   - what is resident in each mapping when the process ends (smaps, residency of anonymous mappings),
//   - spread over time by the recorded faults in that mapping, of a file the first in 64 KiB for all of these pages (all of it at the start if no
//     fault was recorded there),
//   - and for mappings that are gone by then: one page per recorded fault until munmap, MADV_DONTNEED or a MAP_FIXED
//     mapping took the page away.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "replay/fault_split.h"
#include "replay/program.h"
#include "replay/smaps.h"
#include "replay/touch_model.h"
#include "trace/event.h"

namespace faultline::replay {

struct RestInput {
  std::span<const trace::FaultEvent> faults;  // by time
  std::span<const FaultArea> areas;           // one per fault
  std::span<const trace::MemoryCall> calls;   // by begin_ns
  std::span<const Mapping> exit_mappings;     // empty if the end was not seen
  std::span<const ChunkSpan> live_chunks;     // mmapped chunks and thread heaps alive at the end
  std::span<const std::pair<std::uint64_t, std::uint64_t>> recorder_ranges;
  AddressRange heap;
  std::uint64_t exit_report_ns = 0;           // when exit_mappings were read; 0: they were not
  const ExitResidency* residency = nullptr;
  std::uint64_t time_unit_ns = 1000;
};

std::vector<RestStep> rest_timeline(const RestInput& input);

// Pages of the program's files that the recorder's code was the first to read, with their cached neighbours (fault-around).
// They are in the kernel's figures and in the rest; a run without the recorder does not have them.
Borrowed borrowed_by_recorder(const RestInput& input);

// What the program's last instructions (destructors of its libraries) brought in after exit_mappings were read: in a file the pages
// around each fault, elsewhere the one page. Without what is malloc's.
Late late_pages(const RestInput& input);

}  // namespace faultline::replay
