#include <fmt/format.h>

#include <algorithm>

#include "report/report.h"

namespace faultline::report {
namespace {

using analyze::SiteRow;

std::vector<SiteRow> top_sites(const std::vector<SiteRow>& sites, std::size_t top, std::uint64_t (*weight)(const SiteRow&)) {
  std::vector<const SiteRow*> order;
  for (const SiteRow& row : sites) {
    if (weight(row) > 0) order.push_back(&row);
  }
  std::stable_sort(order.begin(), order.end(), [weight](const SiteRow* x, const SiteRow* y) { return weight(*x) > weight(*y); });
  if (order.size() > top) order.resize(top);
  std::vector<SiteRow> rows;
  for (const SiteRow* row : order) rows.push_back(*row);
  return rows;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Heading heading_of(const trace::Recording& recording, const trace::ProcessInfo& process, const std::string& file, bool glibc_heap) {
  Heading heading;
  const trace::Meta& meta = recording.meta();
  heading.file = file;
  heading.command = joined(process.command.empty() ? meta.command : process.command);
  heading.exe = process.exe;
  heading.kernel = meta.kernel_release;
  heading.machine = meta.machine;
  heading.allocator = process.glibc_version.empty() || !glibc_heap ? process.allocator : "glibc " + process.glibc_version;
  if (!process.tunables.empty()) heading.settings = "GLIBC_TUNABLES=" + process.tunables;
  for (const std::string& variable : process.environment) {
    if (variable.starts_with("MALLOC_")) heading.settings += (heading.settings.empty() ? "" : " ") + variable;
  }
  heading.pid = process.pid;
  heading.processes = recording.processes().size();
  if (process.exit_seen && process.is_main) heading.wait_status = process.wait_status;
  heading.start_ns = process.start_ns;
  heading.end_ns = process.end_ns;
  return heading;
}

Totals totals_of(const analyze::Analysis& analysis, const trace::ProcessInfo& process) {
  Totals totals;
  const analyze::Attribution& attribution = analysis.attribution;
  totals.heap_events = attribution.heap_events;
  totals.allocations = attribution.allocations;
  totals.frees = attribution.frees;
  totals.failed = attribution.failed;
  totals.threads = attribution.threads;
  totals.peak_live_bytes = attribution.sites.peak_bytes();
  totals.peak_live_blocks = attribution.sites.peak_blocks();
  totals.peak_ns = attribution.sites.peak_ns() - std::min(attribution.sites.peak_ns(), process.start_ns);
  totals.end_live_bytes = attribution.sites.live_bytes();
  totals.end_live_blocks = attribution.sites.live_blocks();
  for (const SiteRow& row : analysis.sites) totals.allocated_bytes += row.counters.allocated_bytes;
  for (const analyze::RegionRow& row : analysis.regions) {
    if (row.region == analyze::Region::recorder) {
      totals.recorder_faults = row.faults();
      continue;
    }
    totals.minor_faults += row.counters.minor_faults;
    totals.major_faults += row.counters.major_faults;
  }
  totals.recorder_faults = std::max(totals.recorder_faults, process.recorder_faults);
  totals.rss_peak_bytes = process.rss_peak_bytes;
  totals.rss_end_bytes = process.rss_end_bytes;
  totals.unattributed_minor_faults = process.unattributed_minor;
  totals.unattributed_major_faults = process.unattributed_major;
  return totals;
}

}  // namespace

Report build_report(trace::Recording& recording, const trace::ProcessInfo& process, const std::string& file, std::size_t top,
                    const analyze::AnalysisRequest& request) {
  analyze::Analysis analysis = analyze::analyze(recording, process, file, request);
  Report report;
  report.heading = heading_of(recording, process, file, analysis.glibc_heap());
  report.totals = totals_of(analysis, process);
  report.sites_total = analysis.sites.size();
  report.by_faults = top_sites(analysis.sites, top, [](const SiteRow& row) { return row.faults(); });
  report.by_peak = top_sites(analysis.sites, top, [](const SiteRow& row) { return row.counters.at_peak_bytes; });
  report.by_end = top_sites(analysis.sites, top, [](const SiteRow& row) { return row.counters.live_bytes; });
  report.by_allocated = top_sites(analysis.sites, top, [](const SiteRow& row) { return row.counters.allocated_bytes; });
  report.glibc_heap = analysis.glibc_heap();
  report.faults_recorded = recording.meta().faults_recorded;
  report.regions = std::move(analysis.regions);
  report.heap = std::move(analysis.heap);
  for (analyze::HeapMomentState& moment : report.heap.moments) {
    if (moment.pages.size() > top) moment.pages.resize(top);
  }
  report.ledger = std::move(analysis.ledger);
  for (analyze::Ledger& ledger : report.ledger.ledgers) {
    if (ledger.sites.size() > top) ledger.sites.resize(top);
    if (ledger.files.size() > top) ledger.files.resize(top);
  }
  report.retention = std::move(analysis.retention);
  report.pins = std::move(analysis.pins);
  report.holders = std::move(analysis.holders);
  if (report.holders.size() > top) report.holders.resize(top);
  report.costs = std::move(analysis.costs);
  report.lints = std::move(analysis.lints);
  report.findings = std::move(analysis.findings);
  report.missing = std::move(analysis.missing);
  return report;
}

}  // namespace faultline::report
