// Everything `faultline report` knows about one process: attribution with names, retention, costs, findings.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "analyze/attribution.h"
#include "analyze/costs.h"
#include "analyze/findings.h"
#include "analyze/heap_moments.h"
#include "analyze/ledger/ledger.h"
#include "analyze/ledger/ledger_moment.h"
#include "analyze/lints.h"
#include "analyze/retention.h"
#include "analyze/site_names.h"
#include "base/result.h"
#include "replay/prediction.h"

namespace faultline::analyze {

struct TouchSummary {  // code that took faults, by function and line
  SiteName code;
  bool by_allocator = false;
  std::uint64_t minor_faults = 0, major_faults = 0;
};

struct SiteRow {  // all call stacks that end at the same place of the program
  SiteName name;
  SiteCounters counters;  // sums; own_peak_bytes and distinct_pages are sums over stacks and so upper bounds
  std::size_t stacks = 0;
  std::vector<TouchSummary> touches;  // most faults first

  std::uint64_t faults() const { return counters.minor_faults + counters.major_faults; }
};

struct RegionRow {
  Region region = Region::unknown;
  RegionCounters counters;
  std::vector<TouchSummary> touches;  // most faults first

  std::uint64_t faults() const { return counters.minor_faults + counters.major_faults; }
};

struct NamedPin {
  Pin pin;
  SiteName name;
};
struct NamedHolder {
  SiteName name;
  std::uint64_t held_bytes = 0, blocks = 0, block_bytes = 0;
};

struct TwinAnswer {
  replay::Prediction prediction;
  std::string env;  // GLIBC_TUNABLES=..., with what the process had
};

struct Analysis {
  std::string file;  // the recording, for "next" commands
  Attribution attribution;
  std::vector<SiteRow> sites;      // in no order: the report sorts
  std::vector<RegionRow> regions;  // most faults first, none empty
  HeapMoments heap;                // exact, where the twin could replay the process
  LedgerSeries ledger;             // resident memory as a sum, at the moments asked for
  std::vector<Ledger> life;        // ledgers at fifths of its life, for what grows; empty without ledgers
  std::vector<TouchSummary> fork_copies;  // code that wrote to pages a fork had left to both processes
  std::uint64_t rss_peak_bytes = 0;       // the kernel's; 0: not known
  std::uint64_t memory_limit_bytes = 0;   // of the control group it was recorded in; 0: none
  std::string thp_mode;                   // always, madvise, never
  // What the twin says of the process under settings ("arena_max=1"); none: as it was. Only while findings are looked for.
  std::function<std::optional<TwinAnswer>(const std::vector<std::string>& settings)> twin;
  std::function<std::optional<replay::Prediction>()> twin_without_trims;  // the program without its calls of malloc_trim
  Retention retention;             // from recorded addresses, of the main heap alone
  std::vector<NamedPin> pins;
  std::vector<NamedHolder> holders;
  Costs costs;
  trace::MachineCosts prices;  // as used in costs
  std::vector<Lint> lints;  // of the settings it has
  std::vector<Finding> findings;
  std::vector<std::string> missing;  // one line each: what could not be said, and why

  std::uint64_t faults_recorded() const;  // the program's, without the recorder's own
  const Ledger* ledger_at(const char* when) const;  // "peak", "end"; nullptr: not asked for, or not known
  const HeapMomentState* heap_at_end() const { return heap.end(); }  // nullptr: not known
  bool glibc_heap() const { return attribution.foreign_blocks == 0; }
};

struct AnalysisRequest {
  HeapDetail heap = HeapDetail::up_to_a_size;
  std::vector<LedgerMoment> ledgers{};  // of which moments; none: no ledger
};

Analysis analyze(trace::Recording& recording, const trace::ProcessInfo& process, const std::string& file, const AnalysisRequest& request = {});

}  // namespace faultline::analyze
