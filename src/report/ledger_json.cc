#include "report/ledger_json.h"

#include <fmt/format.h>

#include "report/name_json.h"

namespace faultline::report {
namespace {

using Json = nlohmann::ordered_json;
using analyze::Ledger;

Json measured_json(const Ledger& ledger) {
  if (!ledger.measured) return nullptr;
  return {{"time_ns", ledger.measured->time_ns},
          {"rss_bytes", ledger.measured->rss_bytes},
          {"twin_bytes", ledger.measured->twin_bytes},
          {"residual_bytes", ledger.measured->residual_bytes()}};
}

Json one_json(const Ledger& ledger) {
  Json json = {{"when", ledger.when}, {"time_ns", ledger.time_ns}, {"there", ledger.there}, {"rss_bytes", ledger.sum_bytes()}};
  Json& parts = json["parts"] = Json::object();
  for (std::size_t i = 0; i < analyze::kLedgerParts; ++i) parts[fmt::format("{}_bytes", analyze::kLedgerPartFacts[i].key)] = ledger.parts[i];
  json["measured"] = measured_json(ledger);
  json["live_untouched_bytes"] = ledger.live_untouched_bytes;
  json["page_tables_bytes"] = ledger.page_tables_bytes;
  json["huge_bytes"] = ledger.huge_bytes;
  json["fork_shared_bytes"] = ledger.fork_shared_bytes;
  json["mapped_bytes"] = ledger.mapped_bytes;
  json["mappings"] = ledger.mappings;
  json["live_blocks"] = ledger.live_blocks;
  Json& sites = json["sites"] = Json::array();
  for (const analyze::LedgerSite& site : ledger.sites)
    sites.push_back({{"site", name_json(site.name)}, {"blocks", site.blocks}, {"resident_bytes", site.resident_bytes}, {"untouched_bytes", site.untouched_bytes}});
  Json& files = json["files"] = Json::array();
  for (const analyze::LedgerFile& file : ledger.files)
    files.push_back({{"path", file.path}, {"clean_bytes", file.clean_bytes}, {"dirty_bytes", file.dirty_bytes}, {"private_bytes", file.private_bytes},
                     {"shared_memory_bytes", file.shared_memory_bytes}});
  return json;
}

}  // namespace

Json ledger_json(const analyze::LedgerSeries& series) {
  Json json = {{"why_not", text_or_null(series.why_not)}, {"only_end_why", text_or_null(series.only_end_why)}, {"heap_why_not", text_or_null(series.heap_why_not)}, {"peak_time_ns", series.peak_ns}, {"end_time_ns", series.end_ns}};
  Json& parts = json["parts"] = Json::array();
  for (const analyze::LedgerPartFacts& facts : analyze::kLedgerPartFacts)
    parts.push_back({{"key", facts.key}, {"group", analyze::name_of(facts.group)}, {"title", facts.title}, {"explanation", facts.explanation}});
  Json& moments = json["moments"] = Json::array();
  for (const Ledger& ledger : series.ledgers) moments.push_back(one_json(ledger));
  return json;
}

}  // namespace faultline::report
