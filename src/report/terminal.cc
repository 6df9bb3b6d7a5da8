#include "report/terminal.h"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/format.h"
#include "base/units.h"
#include "report/heap_section.h"
#include "report/ledger_section.h"
#include "report/site_text.h"

namespace faultline::report {
namespace {

using analyze::format_bytes;
using analyze::format_count;
using analyze::format_share;
using analyze::format_time;
using analyze::SiteName;
using analyze::SiteRow;

constexpr double kExplain = 0.05;  // smaller regions are not worth a second line

std::string place(const SiteName& name) {
  const std::string location = name.location();
  std::string text = name.function;
  if (!location.empty() && !text.starts_with(location + "+")) text += fmt::format(" ({})", location);
  return text;
}

std::string chain(const SiteName& name) {
  std::string text;
  for (std::size_t i = name.depth; i < name.callers.size(); ++i) text += (text.empty() ? "from " : " < ") + short_name(name.callers[i]);
  return text;
}

std::string touched_by(const std::vector<analyze::TouchSummary>& touches, std::uint64_t whole) {
  std::string text;
  for (std::size_t i = 0; i < touches.size() && i < 3; ++i) {
    const analyze::TouchSummary& touch = touches[i];
    SiteName code = touch.code;
    code.function = short_name(code.function);
    text += fmt::format("{}{}{} {}", i == 0 ? "touched by " : ", ", place(code), touch.by_allocator ? " inside malloc" : "",
                        format_share(share(touch.minor_faults + touch.major_faults, whole)));
  }
  return text;
}

void print_heading(const Report& report, Page& page) {
  const Heading& heading = report.heading;
  page.heading(fmt::format("Report on {}", heading.file));
  page.line(heading.command.empty() ? heading.exe : heading.command);
  std::string facts = fmt::format("pid {}", heading.pid);
  if (heading.processes > 1) facts += fmt::format(", one of {} recorded processes (--process PID shows another)", heading.processes);
  for (const std::string& fact : {heading.allocator, heading.kernel.empty() ? "" : "Linux " + heading.kernel, heading.machine}) {
    if (!fact.empty()) facts += ", " + fact;
  }
  page.paragraph(facts, 2, 2);
  if (!heading.settings.empty()) page.line(heading.settings);
  if (const analyze::Costs& costs = report.costs; costs.wall_ns > 0) {
    page.line(fmt::format("ran {}: user {}, system {} (with the recorder at work)", format_time(static_cast<double>(costs.wall_ns)),
                          format_time(static_cast<double>(costs.user_ns)), format_time(static_cast<double>(costs.system_ns))));
  }
  for (const std::string& line : report.missing) page.warning("missing: " + line);
}

void print_totals(const Report& report, Page& page) {
  const Totals& totals = report.totals;
  page.heading("Totals (KiB and MiB are binary)");
  page.line(fmt::format("heap      {} events of {} thread{}: {} allocations ({}), {} frees{}", format_count(totals.heap_events),
                        totals.threads, totals.threads == 1 ? "" : "s", format_count(totals.allocations), format_bytes(totals.allocated_bytes),
                        format_count(totals.frees), totals.failed > 0 ? fmt::format(", {} failed", totals.failed) : ""));
  page.line(fmt::format("live      peak {} in {} blocks after {}; at the end {} in {} blocks", format_bytes(totals.peak_live_bytes),
                        format_count(totals.peak_live_blocks), format_time(static_cast<double>(totals.peak_ns)),
                        format_bytes(totals.end_live_bytes), format_count(totals.end_live_blocks)));
  if (totals.rss_peak_bytes > 0) {
    page.line(fmt::format("resident  peak {}{}", format_bytes(totals.rss_peak_bytes),
                          totals.rss_end_bytes > 0 ? "; at the end " + format_bytes(totals.rss_end_bytes) : ""));
  }
  page.line(fmt::format("faults    {} minor, {} major of the program; {} of the recorder; {} not attributed", format_count(totals.minor_faults),
                        format_count(totals.major_faults), format_count(totals.recorder_faults),
                        format_count(totals.unattributed_minor_faults + totals.unattributed_major_faults)));
}

void print_faults(const Report& report, Page& page) {
  page.heading("Where page faults come from");
  const std::uint64_t all = report.totals.minor_faults + report.totals.major_faults;
  if (all == 0) {
    page.line(report.faults_recorded ? "no page faults of the program were recorded" : "page faults were not recorded");
    return;
  }
  Table regions({"faults", "share", "major", "again", "region"});
  for (const analyze::RegionRow& row : report.regions) {
    if (row.region == analyze::Region::recorder) continue;
    std::vector<std::string> details;  // malloc's regions are explained site by site below
    const bool by_site = row.region == analyze::Region::heap_block || row.region == analyze::Region::heap_free || row.region == analyze::Region::mmapped_chunk;
    if (!by_site && share(row.faults(), all) >= kExplain) details.push_back(touched_by(row.touches, row.faults()));
    regions.row({format_count(row.faults()), format_share(share(row.faults(), all)), format_count(row.counters.major_faults),
                 format_count(row.counters.repeated_faults), region_title(row.region)},
                std::move(details));
  }
  regions.print(page);
  page.dim("again: on a page that had faulted before", 2);
  if (report.by_faults.empty()) return;
  page.line();
  Table sites({"faults", "share", "per page", "allocated by"});
  for (const SiteRow& row : report.by_faults) {
    const std::uint64_t pages = std::max<std::uint64_t>(1, row.counters.distinct_pages);
    std::vector<std::string> details;
    if (row.name.callers.size() > row.name.depth) details.push_back(chain(row.name));
    if (!row.touches.empty()) details.push_back(touched_by(row.touches, row.faults()));
    sites.row({format_count(row.faults()), format_share(share(row.faults(), all)),
               fmt::format("{:.1f}", static_cast<double>(row.faults()) / static_cast<double>(pages)), site_text(row.name)},
              std::move(details));
  }
  sites.print(page);
}

void print_memory(const Report& report, Page& page) {
  page.heading(fmt::format("Where memory goes ({} sites)", format_count(report.sites_total)));
  if (report.by_peak.empty() && report.by_allocated.empty()) {
    page.line("no allocations were recorded");
    return;
  }
  Table sites({"at peak", "at end", "allocated", "calls", "temporary", "mean life", "site"});
  const auto add = [&sites](const SiteRow& row) {
    const analyze::SiteCounters& counters = row.counters;
    const double life = counters.frees > 0 ? static_cast<double>(counters.lifetime_ns) / static_cast<double>(counters.frees) : 0;
    std::vector<std::string> details;
    if (row.name.callers.size() > row.name.depth) details.push_back(chain(row.name));
    sites.row({format_bytes(counters.at_peak_bytes), format_bytes(counters.live_bytes), format_bytes(counters.allocated_bytes),
               format_count(counters.calls), format_share(share(counters.temporary, counters.calls)),
               counters.frees > 0 ? format_time(life) : "-", site_text(row.name)},
              std::move(details));
  };
  // One table: the largest at the peak, then what is left of the largest at the end and in total.
  std::vector<std::string> shown;
  for (const auto* order : {&report.by_peak, &report.by_end, &report.by_allocated}) {
    const std::size_t limit = order == &report.by_peak ? order->size() : std::min<std::size_t>(3, order->size());
    for (std::size_t i = 0; i < limit; ++i) {
      const std::string key = (*order)[i].name.key();
      if (std::find(shown.begin(), shown.end(), key) != shown.end()) continue;
      shown.push_back(key);
      add((*order)[i]);
    }
  }
  sites.print(page);
  page.dim("temporary: freed by the very next heap call of the thread", 2);
}

void print_retention(const Report& report, Page& page) {
  page.heading("What is retained, and why");
  const analyze::Retention& retention = report.retention;
  if (!report.glibc_heap) {
    page.line("not known: the allocator is not glibc's");
    return;
  }
  if (retention.peak.heap_bytes == 0) {
    page.line("the program never used malloc's main heap");
    return;
  }
  if (!report.heap.why_not.empty()) page.paragraph("from recorded addresses, of the main heap alone: " + report.heap.why_not, 2, 2);
  const auto moment = [&page](const char* when, const analyze::HeapMoment& at) {
    const std::uint64_t free_bytes = at.heap_bytes - std::min(at.heap_bytes, at.live_chunk_bytes);
    page.line(fmt::format("{} {} heap: {} in live blocks, {} free ({})", when, format_bytes(at.heap_bytes), format_bytes(at.live_chunk_bytes),
                          format_bytes(free_bytes), format_share(share(free_bytes, at.heap_bytes))));
  };
  moment("at the peak    ", retention.peak);
  if (retention.most_free.time_ns != retention.end.time_ns) moment("most free      ", retention.most_free);
  moment("at the end     ", retention.end);
  if (retention.end.heap_bytes == 0) return;
  page.paragraph(fmt::format("free at the end: {} above the highest live block (trim threshold {}, top pad {}), {} below it", format_bytes(retention.top_bytes),
                        format_bytes(retention.thresholds.trim_threshold), format_bytes(retention.thresholds.top_pad),
                             format_bytes(retention.free_below_bytes)), 2, 2);
  page.paragraph(fmt::format("of those below, up to {} are whole pages (malloc_trim can return them), {} share pages with live blocks",
                             format_bytes(retention.trimmable_bytes), format_bytes(retention.pinned_bytes)), 2, 2);
  for (std::size_t i = 0; i < report.pins.size(); ++i) {
    const analyze::NamedPin& named = report.pins[i];
    if (named.pin.free_below_bytes == 0) continue;
    page.paragraph(fmt::format("{} free below the live block of {} at {:#x} allocated by {}{}", format_bytes(named.pin.free_below_bytes),
                               format_bytes(named.pin.block.bytes), named.pin.block.address, site_text(named.name),
                               i == 0 ? "; it is what keeps the break from moving" : ""),
                   2, 2);
  }
  if (retention.pinned_bytes < kPageSize || report.holders.empty()) return;
  Table holders({"held", "blocks", "their bytes", "live blocks that share pages with free memory, by site"});
  for (const analyze::NamedHolder& holder : report.holders) {
    holders.row({format_bytes(holder.held_bytes), format_count(holder.blocks), format_bytes(holder.block_bytes), site_text(holder.name)});
  }
  holders.print(page);
}

const char* cost_title(const std::string& what) {
  if (what == "minor_faults") return "minor page faults";
  if (what == "munmap_pages") return "pages unmapped (at most)";
  if (what == "malloc_and_free") return "malloc and free themselves";
  return what.c_str();
}

void print_costs(const Report& report, Page& page) {
  page.heading("What it costs");
  const analyze::Costs& costs = report.costs;
  if (costs.total_ns <= 0) {
    page.line("not known: nothing was counted, or the recording machine was not measured");
    return;
  }
  Table table({"count", "each", "time", "of CPU", "of wall", "what"});
  for (const analyze::CostRow& row : costs.rows) {
    table.row({format_count(row.count), format_time(row.each_ns), format_time(row.total_ns), format_share(costs.cpu_share(row.total_ns)),
               format_share(costs.wall_share(row.total_ns)), cost_title(row.what)});
  }
  table.row({"", "", format_time(costs.total_ns), format_share(costs.cpu_share(costs.total_ns)), format_share(costs.wall_share(costs.total_ns)), "together"});
  table.print(page);
  if (costs.price_scale < 1) {
    page.paragraph(fmt::format("The recorder's prices times {:.2f}: at the full ones the kernel's part would exceed the {} of system time really used. "
                               "An upper bound; the machine was probably busy.", costs.price_scale, format_time(static_cast<double>(costs.system_ns))), 2);
    return;
  }
  page.paragraph(fmt::format("Counts times prices the recorder measured on the recording machine. Cross-check: the whole command used {} of system time.",
                             format_time(static_cast<double>(costs.system_ns))),
                 2);
}

void print_lints(const Report& report, Page& page) {
  if (report.lints.empty()) return;
  page.heading("The malloc settings it has");
  for (const analyze::Lint& lint : report.lints) {
    page.paragraph("- " + lint.title, 2, 2);
    for (const std::string& line : lint.lines) page.paragraph(line, 5, 2);
    if (!lint.next.empty()) page.paragraph("instead: " + lint.next, 5, 2);
  }
}

void print_findings(const Report& report, Page& page) {
  page.heading("Findings");
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    const analyze::Finding& finding = report.findings[i];
    page.paragraph(fmt::format("{}. {}", i + 1, finding.title), 2, 3);
    for (const std::string& line : finding.lines) page.paragraph(line, 5, 2);
    if (!finding.next.empty()) page.paragraph("next: " + finding.next, 5, 2);
  }
  if (report.findings.empty()) page.line("none");
}

}  // namespace

std::string render_terminal(const Report& report, const Style& style) {
  Page page(style);
  print_heading(report, page);
  print_totals(report, page);
  print_faults(report, page);
  print_ledger(report, page);
  print_memory(report, page);
  if (!report.heap.moments.empty()) print_heap(report, page);
  else print_retention(report, page);
  print_costs(report, page);
  print_lints(report, page);
  print_findings(report, page);
  page.line("", 0);
  page.line(fmt::format("Next: faultline verify {0}   or   faultline advise {0}", report.heading.file), 0);
  return page.text();
}

}  // namespace faultline::report
