#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "live/view/stat_view.h"

namespace faultline::live {
namespace {

using Json = nlohmann::ordered_json;

Json change_json(const MappingChange& change) {
  return {{"start", fmt::format("{:#x}", change.place.mapping.start)},
          {"end", fmt::format("{:#x}", change.place.mapping.end)},
          {"kind", kind_key(change.place.kind)},
          {"label", change.place.label},
          {"rss_bytes", change.rss_after_bytes},
          {"rss_change_bytes", change.rss_rise_bytes()},
          {"swapped_bytes", change.swapped_after_bytes},
          {"swapped_change_bytes", change.swap_rise_bytes()},
          {"appeared", change.appeared},
          {"gone", change.gone}};
}

}  // namespace

std::string stat_json(const WatchSample& sample, const std::string& command, const std::string& pressure_scope, const std::vector<MappingChange>* changes,
                      const std::string& why_not) {
  const bool rates = sample.interval_ns > 0;
  const auto status = [&](std::uint64_t ProcessStatus::*value) { return sample.status ? Json((*sample.status).*value) : Json(nullptr); };
  Json json = {{"pid", sample.stat.pid},
               {"command", command},
               {"state", std::string(1, sample.stat.state)},
               {"threads", sample.stat.threads},
               {"elapsed_ns", sample.elapsed_ns},
               {"interval_ns", rates ? Json(sample.interval_ns) : Json(nullptr)},
               {"minor_faults", sample.stat.minor_faults},
               {"major_faults", sample.stat.major_faults},
               {"minor_faults_rise", rates ? Json(sample.minor_rise) : Json(nullptr)},
               {"major_faults_rise", rates ? Json(sample.major_rise) : Json(nullptr)},
               {"minor_faults_per_second", rates ? Json(sample.minor_per_second()) : Json(nullptr)},
               {"major_faults_per_second", rates ? Json(sample.major_per_second()) : Json(nullptr)},
               {"rss_bytes", sample.rss_bytes()},
               {"rss_change_bytes", rates ? Json(sample.rss_rise_bytes) : Json(nullptr)},
               {"rss_peak_bytes", status(&ProcessStatus::rss_peak_bytes)},
               {"anonymous_bytes", status(&ProcessStatus::anonymous_bytes)},
               {"file_bytes", status(&ProcessStatus::file_bytes)},
               {"shared_memory_bytes", status(&ProcessStatus::shmem_bytes)},
               {"swapped_bytes", status(&ProcessStatus::swapped_bytes)},
               {"page_tables_bytes", status(&ProcessStatus::page_table_bytes)},
               {"virtual_bytes", sample.stat.virtual_bytes}};
  json["pressure"] = sample.pressure ? Json{{"scope", pressure_scope},
                                            {"some_ns", sample.pressure->some_us * 1000},
                                            {"full_ns", sample.pressure->full_us * 1000},
                                            {"share", sample.pressure_share ? Json(*sample.pressure_share) : Json(nullptr)}}
                                     : Json(nullptr);
  if (!why_not.empty()) {
    json["mappings"] = nullptr;
    json["mappings_reason"] = why_not;
  } else if (changes != nullptr) {
    json["mappings"] = Json::array();
    for (const MappingChange& change : *changes) json["mappings"].push_back(change_json(change));
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace faultline::live
