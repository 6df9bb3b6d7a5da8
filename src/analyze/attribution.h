// One pass over a process's heap events, merged with its faults and memory calls by time: who allocated what, who
// caused which fault, what was live when. Memory: O(live blocks + pages a block ever started in + distinct faulted
// pages), never O(heap events).
#pragma once

#include <cstdint>
#include <vector>

#include "analyze/block_map.h"
#include "analyze/lints.h"
#include "analyze/region.h"
#include "analyze/site_ledger.h"
#include "analyze/thresholds.h"
#include "trace/recording.h"

namespace faultline::analyze {

// Where a fault is counted when no malloc site is behind it; StackTable id 0 is "no stack" and stays a site of its own.
inline constexpr trace::StackId kNoSite = 0x0fffffff;
inline constexpr std::uint64_t kKernelAddress = std::uint64_t{1} << 63;  // the kernel half; any ip above is folded here

struct RegionCounters {
  std::uint64_t minor_faults = 0, major_faults = 0;
  std::uint64_t distinct_pages = 0;
  std::uint64_t repeated_faults = 0;  // on a page that had faulted before, in whatever region it was then
};

// Faults of one allocating site (or kNoSite) in one region, taken by one instruction.
struct TouchRow {
  trace::StackId site = kNoSite;
  Region region = Region::unknown;
  bool by_allocator = false;  // inside a malloc-family call of the same thread
  std::uint64_t ip = 0;
  std::uint64_t minor_faults = 0, major_faults = 0;
};

struct HeapMoment {  // the main arena's brk heap at one moment
  std::uint64_t time_ns = 0;
  std::uint64_t heap_bytes = 0;        // initial break to break
  std::uint64_t live_chunk_bytes = 0;  // live blocks in it, chunk headers and rounding included
};

struct CallCounters {
  std::uint64_t count[kCallKinds] = {};
  std::uint64_t by_malloc[kCallKinds] = {};  // made inside a malloc-family call
  std::uint64_t unmapped_bytes = 0;
  std::uint64_t brk_grown_bytes = 0, brk_regrown_bytes = 0;  // regrown: below a break the heap already had
  std::uint64_t brk_shrinks = 0, brk_shrunk_bytes = 0;
};

struct TrimCounters {  // what the program's own calls of malloc_trim did
  std::uint64_t calls = 0, advice_calls = 0, advised_bytes = 0, break_bytes = 0;
};

struct Attribution {
  SiteLedger sites;
  RegionCounters regions[kRegionCount];
  std::vector<TouchRow> touches;
  std::vector<Block> live;  // at the end, by address
  HeapMoment end, peak;     // peak: the highest break
  HeapMoment most_free;     // the moment with the most bytes in the heap that no block used
  std::uint64_t heap_start = 0;
  CallCounters calls;
  TrimCounters trims;
  ThresholdState thresholds;
  std::vector<MalloptCall> mallopts;  // accepted ones, in the order they came first

  std::uint64_t heap_events = 0, allocations = 0, frees = 0, failed = 0;
  std::uint64_t lost_frees = 0;     // an address was handed out again without a free between: seen when events are lost
  std::uint64_t unknown_frees = 0;  // of blocks nobody saw allocated
  std::uint64_t foreign_blocks = 0; // not glibc's
  std::uint64_t threads = 0;
};

// Reads the process's heap events to their end once (so StackTable is complete afterwards).
Attribution attribute(trace::Recording& recording, const trace::ProcessInfo& process);

}  // namespace faultline::analyze
