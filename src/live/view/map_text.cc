#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "analyze/format.h"
#include "live/view/map_view.h"
#include "live/view/residency_bar.h"
#include "live/printable.h"

namespace faultline::live {
namespace {

using analyze::format_bytes;
using analyze::format_count;

constexpr std::uint64_t kFarApart = 16 << 20;

std::string plural(std::uint64_t count, const char* what) { return fmt::format("{} {}{}", format_count(count), what, count == 1 ? "" : "s"); }

void print_head(const ProcessView& view, report::Page& page) {
  page.heading(report::clip(fmt::format("{} {}", view.stat.pid, view.command), static_cast<std::size_t>(page.style().width)));
  if (!view.status) {
    page.line(view.stat.kernel_thread ? "a kernel thread: it has no memory of its own"
              : view.stat.state == 'Z' ? "a zombie: its memory is gone, only its exit status is left"
                                       : "it has no memory any more: it is ending");
    return;
  }
  const KindSum all = sum_of(view.places);
  std::set<int> arenas;
  for (const Place& place : view.places) {
    if (place.arena != 0) arenas.insert(place.arena);
  }
  std::string line = fmt::format("{} resident of {} in {}", format_bytes(all.rss_bytes), format_bytes(all.size_bytes), plural(all.mappings, "mapping"));
  if (all.swapped_bytes > 0) line += fmt::format(", {} in swap", format_bytes(all.swapped_bytes));
  page.line(line + fmt::format("; page tables {}", format_bytes(view.status->page_table_bytes)));
  line = plural(view.stat.threads, "thread");
  if (!arenas.empty()) line += fmt::format(", {}", plural(arenas.size(), "thread arena"));
  line += fmt::format("; {} minor and {} major faults so far", format_count(view.stat.minor_faults), format_count(view.stat.major_faults));
  page.paragraph(line, 2, 2);
}

void print_sums(const ProcessView& view, report::Page& page) {
  page.line({}, 0);
  const std::vector<KindSum> sums = sums_by_kind(view.places);
  const bool swap = sum_of(view.places).swapped_bytes > 0, huge = sum_of(view.places).huge_bytes > 0;
  std::vector<std::string> titles = {"resident", "PSS", "size"};
  if (swap) titles.push_back("in swap");
  if (huge) titles.push_back("in huge pages");
  titles.push_back("mappings");
  titles.push_back("what");
  report::Table table(titles);
  for (const KindSum& sum : sums) {
    std::vector<std::string> cells = {format_bytes(sum.rss_bytes), format_bytes(sum.pss_bytes), format_bytes(sum.size_bytes)};
    if (swap) cells.push_back(format_bytes(sum.swapped_bytes));
    if (huge) cells.push_back(format_bytes(sum.huge_bytes));
    cells.push_back(format_count(sum.mappings));
    cells.push_back(kind_title(sum.kind));
    table.row(std::move(cells));
  }
  table.print(page);
}

}  // namespace

std::size_t bar_columns_for(std::size_t width) { return width >= 100 ? 24 : width >= 90 ? 18 : 12; }

std::string place_line(const Place& place, const Residency& residency, std::size_t bar_columns) {
  const Mapping& mapping = place.mapping;
  const std::string bar = residency.cells.empty() ? std::string() : fmt::format("[{}]", residency_bar(residency));
  return fmt::format("{:012x} {:>8} {:>8} {:.4} {:<{}} {}", mapping.start, format_bytes(mapping.size_bytes()), format_bytes(mapping.rss_bytes), mapping.permissions, bar,
                     bar_columns + 2, printable(place.label));
}

std::string render_map(const ProcessView& view, const std::vector<Residency>& residency, report::Style style) {
  report::Page page(style);
  print_head(view, page);
  if (view.places.empty()) return page.text();
  print_sums(view, page);
  const std::size_t bar = bar_columns_for(static_cast<std::size_t>(page.style().width));
  page.line({}, 0);
  page.dim(fmt::format("{:<12} {:>8} {:>8} {:<4} {:<{}} {}", "from", "size", "resident", "", "low to high", bar + 2, "what"), 2);
  for (std::size_t i = 0; i < view.places.size(); ++i) {
    const Place& place = view.places[i];
    if (i > 0 && place.mapping.start - view.places[i - 1].mapping.end >= kFarApart) {
      page.dim(fmt::format("{:<12} {:>8}", "...", format_bytes(place.mapping.start - view.places[i - 1].mapping.end)), 2);
    }
    const std::string line = place_line(place, residency[i], bar);
    if (place.kind == Kind::reserved || place.kind == Kind::kernel) page.dim(line, 2);
    else page.line(line);
  }
  page.line({}, 0);
  const bool pictures = std::any_of(residency.begin(), residency.end(), [](const Residency& one) { return !one.cells.empty(); });
  if (pictures) page.dim(kBarLegend, 2);
  const auto unknown = std::count_if(view.threads.begin(), view.threads.end(), [&](const Thread& thread) {
    return std::none_of(view.places.begin(), view.places.end(), [&](const Place& place) { return place.thread == thread.tid; });
  });
  if (unknown > 0) {
    page.paragraph(fmt::format("not found: the stack{} of {}{}", unknown == 1 ? "" : "s", plural(static_cast<std::uint64_t>(unknown), "thread"),
                               view.threads_seen ? ", which were running or share a mapping with another" : ": /proc/PID/task/TID/syscall may not be read (ptrace(2) access)"),
                   2);
  }
  return page.text();
}

}  // namespace faultline::live
