// The report on one process of a recording: immutable, complete, in raw units. Renderers format it and compute nothing.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analyze/analysis.h"

namespace faultline::report {

struct Heading {
  std::string file;
  std::string command, exe;
  std::string kernel, machine, allocator;
  std::string settings;  // GLIBC_TUNABLES and MALLOC_*_ of the process; empty if none
  trace::Pid pid = 0;
  std::size_t processes = 1;  // in the recording; this report is about one
  std::optional<int> wait_status;
  std::uint64_t start_ns = 0, end_ns = 0;
};

struct Totals {
  std::uint64_t heap_events = 0, allocations = 0, frees = 0, failed = 0, threads = 0;
  std::uint64_t allocated_bytes = 0;
  std::uint64_t peak_live_bytes = 0, peak_live_blocks = 0, peak_ns = 0;
  std::uint64_t end_live_bytes = 0, end_live_blocks = 0;
  std::uint64_t rss_peak_bytes = 0, rss_end_bytes = 0;  // 0 if unknown
  std::uint64_t minor_faults = 0, major_faults = 0;     // recorded and the program's
  std::uint64_t recorder_faults = 0;
  std::uint64_t unattributed_minor_faults = 0, unattributed_major_faults = 0;
};

struct Report {
  Heading heading;
  Totals totals;
  std::size_t sites_total = 0;
  std::vector<analyze::SiteRow> by_faults, by_peak, by_end, by_allocated;  // each at most `top` rows, none with a zero
  std::vector<analyze::RegionRow> regions;
  analyze::LedgerSeries ledger;
  analyze::HeapMoments heap;
  analyze::Retention retention;
  std::vector<analyze::NamedPin> pins;
  std::vector<analyze::NamedHolder> holders;
  analyze::Costs costs;
  std::vector<analyze::Lint> lints;  // of the malloc settings the program has
  std::vector<analyze::Finding> findings;
  std::vector<std::string> missing;
  bool glibc_heap = true;  // false: another allocator, so nothing is known of what the heap retains
  bool faults_recorded = true;
};

Report build_report(trace::Recording& recording, const trace::ProcessInfo& process, const std::string& file, std::size_t top,
                    const analyze::AnalysisRequest& request = {});

}  // namespace faultline::report
