#include "report/ledger_diff_report.h"

#include <fmt/format.h>

#include "analyze/format.h"
#include "report/ledger_json.h"
#include "report/name_json.h"
#include "report/site_text.h"

namespace faultline::report {
namespace {

using analyze::BeforeAfter;
using analyze::format_bytes;
using analyze::format_count;
using Json = nlohmann::ordered_json;

std::string change_text(const BeforeAfter& bytes) {
  const std::int64_t change = bytes.change();
  return change == 0 ? "=" : fmt::format("{}{}", change < 0 ? '-' : '+', format_bytes(static_cast<std::uint64_t>(change < 0 ? -change : change)));
}

void add(Table& table, const BeforeAfter& bytes, std::string what, bool always = false) {
  if (always || bytes.before != 0 || bytes.after != 0) table.row({change_text(bytes), format_bytes(bytes.before), format_bytes(bytes.after), std::move(what)});
}

std::string side_text(const LedgerDiffSide& side) {
  std::string text = fmt::format("{} at {}, {} after its start", side.file, side.when, analyze::format_time(static_cast<double>(side.ledger.time_ns)));
  if (!side.ledger.there) text += ": there was no such process";
  if (side.ledger.measured) text += fmt::format(", residual {} bytes", side.ledger.measured->residual_bytes());
  if (!side.heap_why_not.empty()) text += "; malloc's memory is not divided: " + side.heap_why_not;
  return text;
}

Json pair_json(const BeforeAfter& pair) { return {{"before", pair.before}, {"after", pair.after}}; }

Json side_json(const LedgerDiffSide& side) {
  return {{"file", side.file}, {"when", side.when}, {"time_ns", side.ledger.time_ns}, {"there", side.ledger.there}, {"heap_why_not", text_or_null(side.heap_why_not)}};
}

}  // namespace

std::string render_terminal(const LedgerDiffReport& report, const Style& style) {
  Page page(style);
  const analyze::LedgerDiff& diff = report.diff;
  page.heading("What changed in resident memory");
  page.paragraph("before: " + side_text(report.before), 2, 2);
  page.paragraph("after:  " + side_text(report.after), 2, 2);
  page.line();
  Table parts({"change", "before", "after", "resident memory (RSS)"});
  for (std::size_t i = 0; i < analyze::kLedgerParts; ++i) add(parts, diff.parts[i], std::string(analyze::kLedgerPartFacts[i].title));
  add(parts, diff.rss, "together", true);
  add(parts, diff.live_untouched, "beside RSS: live blocks' untouched bytes");
  if (diff.page_tables.before != 0 && diff.page_tables.after != 0) add(parts, diff.page_tables, "beside RSS: page tables");  // 0: not known
  parts.print(page);
  if (!diff.sites.empty()) {
    page.line();
    Table sites({"change", "before", "after", "blocks", "live blocks by site, resident bytes"});
    for (const analyze::LedgerSiteChange& site : diff.sites) {
      const std::int64_t blocks = site.blocks.change();
      sites.row({change_text(site.resident), format_bytes(site.resident.before), format_bytes(site.resident.after),
                 fmt::format("{}{}", blocks < 0 ? '-' : '+', format_count(static_cast<std::uint64_t>(blocks < 0 ? -blocks : blocks))), site_text(site.name)});
    }
    sites.print(page);
  }
  if (!diff.files.empty()) {
    page.line();
    Table files({"change", "before", "after", "file"});
    for (const analyze::LedgerFileChange& file : diff.files) add(files, file.bytes, file.path);
    files.print(page);
  }
  return page.text();
}

std::string render_json(const LedgerDiffReport& report) {
  const analyze::LedgerDiff& diff = report.diff;
  Json json = {{"before", side_json(report.before)}, {"after", side_json(report.after)}};
  json["rss_bytes"] = pair_json(diff.rss);
  Json& parts = json["parts"] = Json::object();
  for (std::size_t i = 0; i < analyze::kLedgerParts; ++i) parts[fmt::format("{}_bytes", analyze::kLedgerPartFacts[i].key)] = pair_json(diff.parts[i]);
  json["live_untouched_bytes"] = pair_json(diff.live_untouched);
  json["page_tables_bytes"] = pair_json(diff.page_tables);
  json["mappings"] = pair_json(diff.mappings);
  Json& sites = json["sites"] = Json::array();
  for (const analyze::LedgerSiteChange& site : diff.sites)
    sites.push_back({{"site", name_json(site.name)}, {"resident_bytes", pair_json(site.resident)}, {"untouched_bytes", pair_json(site.untouched)}, {"blocks", pair_json(site.blocks)}});
  Json& files = json["files"] = Json::array();
  for (const analyze::LedgerFileChange& file : diff.files) files.push_back({{"path", file.path}, {"resident_bytes", pair_json(file.bytes)}});
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace faultline::report
