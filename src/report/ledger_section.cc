#include "report/ledger_section.h"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/format.h"
#include "report/site_text.h"

namespace faultline::report {
namespace {

using analyze::format_bytes;
using analyze::format_count;
using analyze::format_share;
using analyze::format_time;
using analyze::Ledger;
using analyze::LedgerSeries;

constexpr std::size_t kMostRows = 5;
constexpr std::size_t kMostMoments = 6;  // side by side; JSON has them all

std::string signed_bytes(std::int64_t bytes) {
  return fmt::format("{}{}", bytes < 0 ? '-' : '+', format_bytes(static_cast<std::uint64_t>(bytes < 0 ? -bytes : bytes)));
}

template <typename Cell>
void add_row(const LedgerSeries& series, Table& table, std::string what, bool always, Cell cell) {
  std::vector<std::string> cells;
  bool any = always;
  for (const Ledger& ledger : series.ledgers) {
    const std::optional<std::uint64_t> bytes = cell(ledger);
    any = any || bytes.value_or(0) != 0;
    cells.push_back(bytes ? format_bytes(*bytes) : "-");
  }
  cells.push_back(std::move(what));
  if (any) table.row(std::move(cells));
}

void print_parts(const LedgerSeries& series, Page& page) {
  std::vector<std::string> titles;
  for (const Ledger& ledger : series.ledgers) titles.push_back(ledger.when);
  titles.push_back("resident memory (RSS)");
  Table table(titles);
  for (std::size_t i = 0; i < analyze::kLedgerParts; ++i)
    add_row(series, table, std::string(analyze::kLedgerPartFacts[i].title), false, [i](const Ledger& ledger) { return std::optional(ledger.parts[i]); });
  add_row(series, table, "together, as the twin has it", true, [](const Ledger& ledger) { return std::optional(ledger.sum_bytes()); });
  std::vector<std::string> cells;
  for (const Ledger& ledger : series.ledgers) cells.push_back(ledger.measured ? signed_bytes(ledger.measured->residual_bytes()) : "-");
  cells.push_back("residual: measured less that");
  table.row(std::move(cells));
  add_row(series, table, "beside RSS: live blocks' untouched bytes", false, [](const Ledger& ledger) { return std::optional(ledger.live_untouched_bytes); });
  add_row(series, table, "beside RSS: page tables", false, [](const Ledger& ledger) { return std::optional(ledger.page_tables_bytes); });
  add_row(series, table, "of RSS: in huge pages", false, [](const Ledger& ledger) { return std::optional(ledger.huge_bytes); });
  add_row(series, table, "of RSS: shared with a forked process, unwritten", false, [](const Ledger& ledger) { return std::optional(ledger.fork_shared_bytes); });
  table.print(page);
}

void print_when(const LedgerSeries& series, Page& page) {
  std::string text;
  for (const Ledger& ledger : series.ledgers) {
    text += fmt::format("{}{} is {} after the start", text.empty() ? "" : "; ", ledger.when, format_time(static_cast<double>(ledger.time_ns)));
    if (ledger.measured && ledger.measured->time_ns != ledger.time_ns)
      text += fmt::format(" (residual of {})", format_time(static_cast<double>(ledger.measured->time_ns)));
    if (!ledger.there) text += ", when there was no such process";
  }
  page.paragraph(text + ". Measured: what the recorder read of the process at the nearest moment.", 2, 2);
}

// Rows of one ledger, the one with most memory: sites and files at each moment side by side would be too wide.
const Ledger& largest(const LedgerSeries& series) {
  return *std::max_element(series.ledgers.begin(), series.ledgers.end(), [](const Ledger& x, const Ledger& y) { return x.sum_bytes() < y.sum_bytes(); });
}

void print_sites(const Ledger& ledger, Page& page) {
  if (ledger.sites.empty()) return;
  page.line();
  Table table({"resident", "untouched", "blocks", fmt::format("live blocks by site, at {}", ledger.when)});
  for (std::size_t i = 0; i < ledger.sites.size() && i < kMostRows; ++i) {
    const analyze::LedgerSite& site = ledger.sites[i];
    table.row({format_bytes(site.resident_bytes), format_bytes(site.untouched_bytes), format_count(site.blocks), site_text(site.name)});
  }
  table.print(page);
}

void print_files(const Ledger& ledger, Page& page) {
  if (ledger.files.empty()) return;
  page.line();
  Table table({"resident", "copied", "dirty", fmt::format("file, at {}", ledger.when)});
  for (std::size_t i = 0; i < ledger.files.size() && i < kMostRows; ++i) {
    const analyze::LedgerFile& file = ledger.files[i];
    table.row({format_bytes(file.bytes()), format_bytes(file.private_bytes), format_bytes(file.dirty_bytes), file.path});
  }
  table.print(page);
}

}  // namespace

void print_ledger(const Report& report, Page& page) {
  LedgerSeries series = report.ledger;
  if (!series.only_end_why.empty()) std::erase_if(series.ledgers, [](const Ledger& ledger) { return !ledger.there; });
  if (series.ledgers.size() > kMostMoments) series.ledgers.resize(kMostMoments);
  if (series.ledgers.empty() && series.why_not.empty()) return;
  page.heading("Where resident memory is");
  if (!series.why_not.empty()) {
    page.paragraph("not known: " + series.why_not, 2, 2);
    return;
  }
  if (!series.only_end_why.empty()) page.paragraph("only the end is known, from what the process told then: " + series.only_end_why, 2, 2);
  if (series.ledgers.empty()) return;
  print_parts(series, page);
  if (series.only_end_why.empty()) print_when(series, page);
  if (!series.heap_why_not.empty()) page.paragraph("malloc's memory is not divided: " + series.heap_why_not, 2, 2);
  print_sites(largest(series), page);
  print_files(largest(series), page);
}

}  // namespace faultline::report
