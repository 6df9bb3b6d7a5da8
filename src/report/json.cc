#include "report/json.h"

#include <fmt/format.h>

#include "report/heap_json.h"
#include "report/ledger_json.h"
#include "report/name_json.h"

namespace faultline::report {
namespace {

using Json = nlohmann::ordered_json;

Json touches_json(const std::vector<analyze::TouchSummary>& touches) {
  Json rows = Json::array();
  for (std::size_t i = 0; i < touches.size() && i < 10; ++i) {
    const analyze::TouchSummary& touch = touches[i];
    rows.push_back({{"code", name_json(touch.code)}, {"inside_malloc", touch.by_allocator}, {"minor_faults", touch.minor_faults}, {"major_faults", touch.major_faults}});
  }
  return rows;
}

Json site_json(const analyze::SiteRow& row) {
  const analyze::SiteCounters& counters = row.counters;
  Json json = {{"site", name_json(row.name)},
               {"stacks", row.stacks},
               {"calls", counters.calls},
               {"allocated_bytes", counters.allocated_bytes},
               {"at_peak_bytes", counters.at_peak_bytes},
               {"at_peak_blocks", counters.at_peak_blocks},
               {"at_end_bytes", counters.live_bytes},
               {"at_end_blocks", counters.live_blocks},
               {"frees", counters.frees},
               {"temporary", counters.temporary},
               {"mean_lifetime_ns", counters.frees > 0 ? Json(counters.lifetime_ns / counters.frees) : Json(nullptr)},
               {"minor_faults", counters.minor_faults},
               {"major_faults", counters.major_faults},
               {"faults_inside_malloc", counters.allocator_faults},
               {"faulted_pages", counters.distinct_pages},
               {"mmapped_calls", counters.mmapped_calls},
               {"mmapped_frees", counters.mmapped_frees}};
  json["touched_by"] = touches_json(row.touches);
  return json;
}

Json sites_json(const std::vector<analyze::SiteRow>& rows) {
  Json json = Json::array();
  for (const analyze::SiteRow& row : rows) json.push_back(site_json(row));
  return json;
}

Json moment_json(const analyze::HeapMoment& moment) {
  return {{"time_ns", moment.time_ns}, {"heap_bytes", moment.heap_bytes}, {"live_chunk_bytes", moment.live_chunk_bytes}};
}

Json totals_json(const Report& report) {
  const Totals& totals = report.totals;
  const auto known = [](std::uint64_t bytes) { return bytes > 0 ? Json(bytes) : Json(nullptr); };
  return {{"heap_events", totals.heap_events},
          {"allocations", totals.allocations},
          {"allocated_bytes", totals.allocated_bytes},
          {"frees", totals.frees},
          {"failed", totals.failed},
          {"threads", totals.threads},
          {"sites", report.sites_total},
          {"peak_live_bytes", totals.peak_live_bytes},
          {"peak_live_blocks", totals.peak_live_blocks},
          {"peak_time_ns", totals.peak_ns},
          {"end_live_bytes", totals.end_live_bytes},
          {"end_live_blocks", totals.end_live_blocks},
          {"rss_peak_bytes", known(totals.rss_peak_bytes)},
          {"rss_end_bytes", known(totals.rss_end_bytes)},
          {"minor_faults", totals.minor_faults},
          {"major_faults", totals.major_faults},
          {"recorder_faults", totals.recorder_faults},
          {"unattributed_minor_faults", totals.unattributed_minor_faults},
          {"unattributed_major_faults", totals.unattributed_major_faults}};
}

Json retention_json(const Report& report) {
  if (!report.glibc_heap) return nullptr;
  const analyze::Retention& retention = report.retention;
  Json json = {{"at_peak", moment_json(retention.peak)},
               {"most_free", moment_json(retention.most_free)},
               {"at_end", moment_json(retention.end)},
               {"top_bytes", retention.top_bytes},
               {"free_below_top_bytes", retention.free_below_bytes},
               {"whole_free_pages_bytes", retention.trimmable_bytes},
               {"shared_pages_free_bytes", retention.pinned_bytes},
               {"mmapped_live_bytes", retention.mmapped_bytes},
               {"mmap_threshold_bytes", retention.thresholds.mmap_threshold},
               {"trim_threshold_bytes", retention.thresholds.trim_threshold},
               {"top_pad_bytes", retention.thresholds.top_pad},
               {"thresholds_frozen", retention.thresholds.frozen}};
  json["pins"] = Json::array();
  for (const analyze::NamedPin& named : report.pins) {
    json["pins"].push_back({{"address", fmt::format("{:#x}", named.pin.block.address)},
                            {"block_bytes", named.pin.block.bytes},
                            {"free_below_bytes", named.pin.free_below_bytes},
                            {"break_drop_bytes", named.pin.break_drop_bytes},
                            {"site", name_json(named.name)}});
  }
  json["holders"] = Json::array();
  for (const analyze::NamedHolder& holder : report.holders) {
    json["holders"].push_back(
        {{"site", name_json(holder.name)}, {"held_bytes", holder.held_bytes}, {"blocks", holder.blocks}, {"block_bytes", holder.block_bytes}});
  }
  return json;
}

Json costs_json(const analyze::Costs& costs) {
  Json json = {{"total_ns", costs.total_ns},
               {"price_scale", costs.price_scale},
               {"cpu_share", costs.cpu_share(costs.total_ns)},
               {"wall_share", costs.wall_share(costs.total_ns)},
               {"command_wall_ns", costs.wall_ns},
               {"command_user_ns", costs.user_ns},
               {"command_system_ns", costs.system_ns}};
  json["parts"] = Json::array();
  for (const analyze::CostRow& row : costs.rows) {
    json["parts"].push_back({{"what", row.what}, {"count", row.count}, {"each_ns", row.each_ns}, {"total_ns", row.total_ns}});
  }
  return json;
}

Json gain_json(const analyze::Finding& finding) {
  if (!finding.predicted) return nullptr;
  return {{"minor_faults", finding.predicted->minor_faults},
          {"rss_peak_bytes", finding.predicted->rss_peak_bytes},
          {"rss_end_bytes", finding.predicted->rss_end_bytes},
          {"mapped_bytes", finding.predicted->mapped_bytes},
          {"page_tables_bytes", finding.predicted->page_tables_bytes},
          {"allocations", finding.predicted->allocations},
          {"env", text_or_null(finding.predicted->env)}};
}

}  // namespace

std::string render_json(const Report& report) {
  const Heading& heading = report.heading;
  Json json;
  json["file"] = heading.file;
  json["command"] = heading.command;
  json["process"] = {{"pid", heading.pid},
                     {"exe", heading.exe},
                     {"allocator", heading.allocator},
                     {"settings", text_or_null(heading.settings)},
                     {"start_ns", heading.start_ns},
                     {"end_ns", heading.end_ns},
                     {"wait_status", heading.wait_status ? Json(*heading.wait_status) : Json(nullptr)}};
  json["machine"] = {{"cpu", heading.machine}, {"kernel", heading.kernel}};
  json["missing"] = report.missing;
  json["totals"] = totals_json(report);
  json["regions"] = Json::array();
  for (const analyze::RegionRow& row : report.regions) {
    json["regions"].push_back({{"region", region_key(row.region)},
                               {"minor_faults", row.counters.minor_faults},
                               {"major_faults", row.counters.major_faults},
                               {"faulted_pages", row.counters.distinct_pages},
                               {"repeated_faults", row.counters.repeated_faults},
                               {"touched_by", touches_json(row.touches)}});
  }
  json["sites"] = {{"by_faults", sites_json(report.by_faults)},
                   {"by_peak", sites_json(report.by_peak)},
                   {"by_end", sites_json(report.by_end)},
                   {"by_allocated", sites_json(report.by_allocated)}};
  json["ledger"] = ledger_json(report.ledger);
  json["heap"] = heap_json(report.heap);
  json["retention"] = retention_json(report);
  json["costs"] = costs_json(report.costs);
  json["lints"] = Json::array();
  for (const analyze::Lint& lint : report.lints) json["lints"].push_back({{"id", lint.id}, {"title", lint.title}, {"lines", lint.lines}, {"next", lint.next}});
  json["findings"] = Json::array();
  for (const analyze::Finding& finding : report.findings) {
    json["findings"].push_back({{"id", finding.id}, {"title", finding.title}, {"lines", finding.lines}, {"cost_ns", finding.cost_ns},
                                {"held_bytes", finding.bytes}, {"next", text_or_null(finding.next)}, {"predicted", gain_json(finding)}});
  }
  // A path or a symbol may hold any byte; JSON may not.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace faultline::report
