#include <nlohmann/json.hpp>

#include <algorithm>

#include "live/process_status.h"
#include "live/process_view.h"
#include "live/view/top_rows.h"

namespace faultline::live {
namespace {

using Json = nlohmann::ordered_json;

}  // namespace

std::string top_json(const Proc& proc, const ProcessTable& table, const TopRows& rows, std::size_t most, double elapsed_seconds) {
  const double seconds = table.seconds();
  Json json = {{"elapsed_ns", static_cast<std::uint64_t>(elapsed_seconds * 1e9)},
               {"interval_ns", seconds > 0 ? Json(static_cast<std::uint64_t>(seconds * 1e9)) : Json(nullptr)},
               {"processes", rows.sums().processes},
               {"kernel_threads", rows.sums().kernel_threads},
               {"unreadable", table.unreadable()},
               {"minor_faults_per_second", rows.sums().minor_per_second},
               {"major_faults_per_second", rows.sums().major_per_second}};
  json["rows"] = Json::array();
  std::string text;
  const std::size_t shown = most > 0 ? std::min(most, rows.rows().size()) : rows.rows().size();
  for (std::size_t i = 0; i < shown; ++i) {
    const ProcessRow& row = *rows.rows()[i];
    const bool rates = row.has_rise && seconds > 0;
    std::optional<ProcessStatus> status;
    if (proc.read(row.stat.pid, "status", text) == Access::ok) status = parse_status(text);
    json["rows"].push_back({{"pid", row.stat.pid},
                            {"command", command_of(proc, row.stat)},
                            {"state", std::string(1, row.stat.state)},
                            {"kernel_thread", row.stat.kernel_thread},
                            {"minor_faults", row.stat.minor_faults},
                            {"major_faults", row.stat.major_faults},
                            {"minor_faults_per_second", rates ? Json(static_cast<double>(row.minor_rise) / seconds) : Json(nullptr)},
                            {"major_faults_per_second", rates ? Json(static_cast<double>(row.major_rise) / seconds) : Json(nullptr)},
                            {"rss_bytes", status ? status->rss_bytes : row.stat.rss_bytes},
                            {"rss_change_bytes", rates ? Json(row.rss_rise_bytes) : Json(nullptr)},
                            {"swapped_bytes", status ? Json(status->swapped_bytes) : Json(nullptr)}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace faultline::live
