#include "analyze/analysis.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <unordered_map>

#include "analyze/ledger/ledger_series.h"
#include "analyze/placements.h"
#include "analyze/what_if.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

void merge(SiteCounters& into, const SiteCounters& from) {
  into.calls += from.calls;
  into.allocated_bytes += from.allocated_bytes;
  into.frees += from.frees;
  into.temporary += from.temporary;
  into.lifetime_ns += from.lifetime_ns;
  into.live_bytes += from.live_bytes;
  into.live_blocks += from.live_blocks;
  into.own_peak_bytes += from.own_peak_bytes;
  into.at_peak_bytes += from.at_peak_bytes;
  into.at_peak_blocks += from.at_peak_blocks;
  into.mmapped_calls += from.mmapped_calls;
  into.mmapped_bytes += from.mmapped_bytes;
  into.mmapped_frees += from.mmapped_frees;
  into.minor_faults += from.minor_faults;
  into.major_faults += from.major_faults;
  into.allocator_faults += from.allocator_faults;
  into.mmapped_faults += from.mmapped_faults;
  into.distinct_pages += from.distinct_pages;
  for (std::size_t i = 0; i < kCallKinds; ++i) into.memory_calls[i] += from.memory_calls[i];
  into.brk_grown_bytes += from.brk_grown_bytes;
  into.brk_shrunk_bytes += from.brk_shrunk_bytes;
  into.brk_shrinks += from.brk_shrinks;
  into.unmapped_bytes += from.unmapped_bytes;
}

// Touch rows gathered under one site or region, by the code that touched.
class TouchTable {
 public:
  void add(const TouchRow& row, Symbolizer& symbolizer) {
    SiteName code = name_instruction(row.ip, symbolizer);
    TouchSummary& summary = rows_[{code.key(), row.by_allocator}];
    summary.code = std::move(code);
    summary.by_allocator = row.by_allocator;
    summary.minor_faults += row.minor_faults;
    summary.major_faults += row.major_faults;
  }
  std::vector<TouchSummary> sorted() const {
    std::vector<TouchSummary> result;
    for (const auto& [key, summary] : rows_) result.push_back(summary);
    std::stable_sort(result.begin(), result.end(), [](const TouchSummary& x, const TouchSummary& y) {
      return x.minor_faults + x.major_faults > y.minor_faults + y.major_faults;
    });
    return result;
  }

 private:
  std::map<std::pair<std::string, bool>, TouchSummary> rows_;
};

// Names every call stack of the process. Stacks that end in the same place are one site, unless the place is a wrapper:
// a function that many different callers allocate through says nothing by itself, so its callers become part of the name.
class Namer {
 public:
  Namer(trace::StackTable& stacks, Symbolizer& symbolizer, const std::vector<SiteCounters>& counters) {
    names_.resize(counters.size());
    std::vector<std::size_t> open;
    for (std::size_t stack = 0; stack < counters.size(); ++stack) {
      if (!counts(counters[stack])) continue;
      const auto id = static_cast<trace::StackId>(stack);
      names_[stack] = name_site(id < stacks.size() ? stacks.frames(id) : std::span<const std::uint64_t>{}, symbolizer);
      open.push_back(stack);
    }
    for (std::size_t depth = 0; depth < kDepth && !open.empty(); ++depth) open = deepen(open, depth);
  }
  const SiteName& name(trace::StackId stack) const { return stack < names_.size() ? names_[stack] : unknown_; }

  static bool counts(const SiteCounters& counters) { return counters.calls > 0 || counters.minor_faults + counters.major_faults > 0; }

 private:
  static constexpr std::size_t kDepth = 3;
  static constexpr std::size_t kWrapper = 6;  // distinct callers that make a function a wrapper
  std::vector<SiteName> names_;
  SiteName unknown_;

  std::vector<std::size_t> deepen(const std::vector<std::size_t>& open, std::size_t depth) {
    std::unordered_map<std::string, std::set<std::string>> callers;
    for (const std::size_t stack : open) {
      if (names_[stack].callers.size() > depth) callers[names_[stack].key()].insert(names_[stack].callers[depth]);
    }
    std::vector<std::size_t> deeper;
    for (const std::size_t stack : open) {
      const auto found = callers.find(names_[stack].key());
      if (found != callers.end() && found->second.size() >= kWrapper) deeper.push_back(stack);
    }
    for (const std::size_t stack : deeper) names_[stack].depth = depth + 1;
    return deeper;
  }
};

void name_sites(Analysis& analysis, const Namer& namer, Symbolizer& symbolizer) {
  std::unordered_map<std::string, std::size_t> rows;
  std::vector<std::size_t> row_of(analysis.attribution.sites.sites().size(), ~std::size_t{0});
  std::vector<std::uint64_t> heaviest;  // of each row: whose caller chain is shown
  for (std::size_t stack = 0; stack < row_of.size(); ++stack) {
    const SiteCounters& counters = analysis.attribution.sites.sites()[stack];
    if (!Namer::counts(counters)) continue;
    const std::uint64_t weight = counters.allocated_bytes + 4096 * (counters.minor_faults + counters.major_faults);
    const SiteName& name = namer.name(static_cast<trace::StackId>(stack));
    const auto [at, fresh] = rows.try_emplace(name.key(), analysis.sites.size());
    if (fresh) {
      analysis.sites.emplace_back();
      heaviest.push_back(0);
    }
    SiteRow& row = analysis.sites[at->second];
    if (fresh || weight > heaviest[at->second]) {
      row.name = name;
      heaviest[at->second] = weight;
    }
    merge(row.counters, counters);
    ++row.stacks;
    row_of[stack] = at->second;
  }
  std::vector<TouchTable> by_site(analysis.sites.size());
  TouchTable by_region[kRegionCount];
  for (const TouchRow& touch : analysis.attribution.touches) {
    by_region[static_cast<std::size_t>(touch.region)].add(touch, symbolizer);
    if (touch.site < row_of.size() && row_of[touch.site] < by_site.size()) by_site[row_of[touch.site]].add(touch, symbolizer);
  }
  for (std::size_t i = 0; i < by_site.size(); ++i) analysis.sites[i].touches = by_site[i].sorted();
  for (std::size_t i = 0; i < kRegionCount; ++i) {
    RegionRow row{static_cast<Region>(i), analysis.attribution.regions[i], by_region[i].sorted()};
    if (row.faults() > 0) analysis.regions.push_back(std::move(row));
  }
  std::stable_sort(analysis.regions.begin(), analysis.regions.end(), [](const auto& x, const auto& y) { return x.faults() > y.faults(); });
}

void name_retention(Analysis& analysis, const Namer& namer) {
  for (const Pin& pin : analysis.retention.pins) analysis.pins.push_back({pin, namer.name(pin.block.site)});
  std::map<std::string, NamedHolder> holders;
  for (const Holder& holder : analysis.retention.holders) {
    const SiteName& name = namer.name(holder.site);
    NamedHolder& row = holders[name.key()];
    row.name = name;
    row.held_bytes += holder.held_bytes;
    row.blocks += holder.blocks;
    row.block_bytes += holder.block_bytes;
  }
  for (auto& [key, holder] : holders) analysis.holders.push_back(std::move(holder));
  std::stable_sort(analysis.holders.begin(), analysis.holders.end(), [](const auto& x, const auto& y) { return x.held_bytes > y.held_bytes; });
}

void say_what_is_missing(Analysis& analysis, const trace::Recording& recording, const trace::ProcessInfo& process, const Symbolizer& symbolizer) {
  std::vector<std::string>& missing = analysis.missing;
  const trace::Meta& meta = recording.meta();
  missing = meta.missing;
  if (recording.damage()) missing.push_back(*recording.damage());
  if (!meta.faults_recorded && meta.missing.empty()) missing.push_back("page faults were not recorded: nothing is said about who caused them");
  if (!process.exit_seen) missing.push_back("the process ended before it could tell its exit state: end figures are those of its last event");
  if (analysis.attribution.foreign_blocks > 0 || (process.glibc_version.empty() && !process.allocator.empty())) {
    missing.push_back(fmt::format("malloc is {}, not glibc's: chunk sizes, thresholds and what the heap retains are not known", process.allocator));
  }
  if (process.forked_without_exec) missing.push_back("the process was forked: blocks it inherited are not known");
  if (process.lost_heap_events + process.lost_fault_records + process.lost_call_records > 0) {
    missing.push_back(fmt::format("lost records: {} heap events, {} faults, {} memory calls", process.lost_heap_events,
                                  process.lost_fault_records, process.lost_call_records));
  }
  for (std::string& line : symbolizer.problems()) missing.push_back(std::move(line));
}

// Those asked for, and fifths of the process's life in the same pass.
void add_ledgers(Analysis& analysis, trace::Recording& recording, const trace::ProcessInfo& process, const replay::Program* program,
                 std::vector<LedgerMoment> moments, const NameOf& name_of, Symbolizer& symbolizer) {
  const std::size_t asked = moments.size();
  for (const double share : {0.2, 0.4, 0.6, 0.8, 1.0}) moments.push_back({.kind = LedgerMoment::Kind::share, .text = {}, .share = share});
  analysis.ledger = ledger_series(recording, process, program, analysis.heap.why_not, moments, name_of);
  std::vector<Ledger>& ledgers = analysis.ledger.ledgers;
  if (ledgers.size() < moments.size()) return;
  analysis.life.assign(std::make_move_iterator(ledgers.begin() + static_cast<std::ptrdiff_t>(asked)), std::make_move_iterator(ledgers.end()));
  ledgers.resize(asked);
  TouchTable copies;
  for (const trace::FaultEvent& fault : analysis.ledger.fork_copies) copies.add({.ip = std::min(fault.ip, kKernelAddress), .minor_faults = 1}, symbolizer);
  analysis.fork_copies = copies.sorted();
}

// Each setting is answered once: findings ask alike.
std::function<std::optional<TwinAnswer>(const std::vector<std::string>&)> twin_of(const replay::Program& program) {
  auto known = std::make_shared<std::map<std::vector<std::string>, std::optional<TwinAnswer>>>();
  return [&program, known](const std::vector<std::string>& settings) {
    const auto [at, fresh] = known->try_emplace(settings);
    if (!fresh) return at->second;
    const Result<WhatIf> changed = what_if(program, settings);
    if (!changed) return at->second;
    if (const auto prediction = predict(program, *changed)) at->second = TwinAnswer{*prediction, changed->environment()};
    return at->second;
  };
}

std::optional<replay::Prediction> without_trims(const replay::Program& program) {
  replay::Program changed = program;
  for (replay::Event& event : changed.events) {
    if (event.op == trace::HeapOp::malloc_trim) event.flags |= replay::kUnknown;  // not replayed
  }
  return replay::replay(changed, replay::recorded_parameters(changed), replay::ReplayPlan{});
}

}  // namespace

const Ledger* Analysis::ledger_at(const char* when) const {
  for (const Ledger& found : ledger.ledgers) {
    if (found.when == when && found.there) return &found;
  }
  return nullptr;
}

std::uint64_t Analysis::faults_recorded() const {
  std::uint64_t sum = 0;
  for (const RegionRow& row : regions) {
    if (row.region != Region::recorder) sum += row.faults();
  }
  return sum;
}

Analysis analyze(trace::Recording& recording, const trace::ProcessInfo& process, const std::string& file, const AnalysisRequest& request) {
  Analysis analysis;
  analysis.file = file;
  analysis.attribution = attribute(recording, process);
  analysis.prices = recording.meta().costs;
  analysis.costs = costs_of(analysis.attribution, recording.meta(), analysis.prices);
  analysis.retention = retention_of(analysis.attribution);
  Symbolizer symbolizer(recording.modules(process.pid));
  const Namer namer(recording.stacks(process.pid), symbolizer, analysis.attribution.sites.sites());
  name_sites(analysis, namer, symbolizer);
  name_retention(analysis, namer);
  LintInput lints = lint_input(process.tunables, process.environment);
  lints.mallopts = analysis.attribution.mallopts;
  lints.threads = std::max<std::size_t>(1, analysis.attribution.threads);
  lints.thp_by_madvise = process.thp_mode == "madvise";
  lints.file = file;
  if (analysis.glibc_heap()) analysis.lints = look_for_lints(lints);
  const auto name_of = [&namer](trace::StackId stack) -> const SiteName& { return namer.name(stack); };
  HeapProgram heap;
  if (analysis.glibc_heap()) heap = load_heap(recording, process, analysis.attribution.heap_events, request.heap);
  else heap.why_not = "the allocator is not glibc's";
  if (heap.program) analysis.heap = heap_moments(*heap.program, process, name_of);
  else analysis.heap.why_not = heap.why_not;
  analysis.rss_peak_bytes = process.rss_peak_bytes;
  analysis.thp_mode = process.thp_mode;
  analysis.memory_limit_bytes = recording.meta().memory_limit_bytes;
  const bool divided = heap.program && analysis.heap.why_not.empty();
  if (!request.ledgers.empty()) add_ledgers(analysis, recording, process, divided ? &*heap.program : nullptr, request.ledgers, name_of, symbolizer);
  if (divided) {
    analysis.twin = twin_of(*heap.program);
    analysis.twin_without_trims = [&heap] { return without_trims(*heap.program); };
  }
  analysis.findings = look_for_findings(analysis);
  analysis.twin = nullptr;  // what they refer to ends here
  analysis.twin_without_trims = nullptr;
  say_what_is_missing(analysis, recording, process, symbolizer);
  return analysis;
}

}  // namespace faultline::analyze
