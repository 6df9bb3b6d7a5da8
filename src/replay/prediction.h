// What the twin says a run does under one setting. Counts and bytes; cost in nanoseconds of the machine that recorded.
#pragma once

#include <cstdint>

#include "replay/program.h"

namespace faultline::replay {

struct CallCounts {
  std::uint64_t brk = 0, mmap = 0, munmap = 0, mremap = 0, madvise = 0, mprotect = 0;
  std::uint64_t total() const { return brk + mmap + munmap + mremap + madvise + mprotect; }
};

struct Prediction {
  std::uint64_t heap_minor = 0, mmapped_minor = 0, thread_heap_minor = 0;  // predicted
  std::uint64_t rest_minor = 0, major_faults = 0;   // recorded: no malloc setting changes them
  std::uint64_t rss_peak_bytes = 0, rss_end_bytes = 0;
  std::uint32_t peak_time = 0;       // in Program::time_unit_ns; only of a watched replay
  CallCounts calls;                  // malloc's own
  std::uint64_t released_pages = 0;  // given back by brk, munmap and MADV_DONTNEED while they had a frame
  std::uint64_t failed = 0;          // allocations that succeeded when recorded and fail here
  // Of malloc's faults, those on pages whose use the recording does not show (Ground), and how many of those may be wrong:
  // by the errors such judgements have on pages that it does show.
  std::uint64_t unseen_minor = 0;
  double unseen_error = 0;           // faults
  // How far this is from what the same setting brings where the heap begins elsewhere within a huge page (analyze/placements.h).
  struct Spread {
    double minor_faults = 0, cost_ns = 0, rss_peak_bytes = 0, rss_end_bytes = 0;
  };
  Spread of_placement{};
  double cost_ns = 0;                // of malloc's faults, calls and released pages

  std::uint64_t malloc_minor() const { return heap_minor + mmapped_minor + thread_heap_minor; }
  std::uint64_t minor_faults() const { return malloc_minor() + rest_minor; }
};

double cost_of(const Prediction& prediction, const trace::MachineCosts& costs);

}  // namespace faultline::replay
