#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "live/view/map_view.h"
#include "live/view/residency_bar.h"

namespace faultline::live {
namespace {

using Json = nlohmann::ordered_json;

Json sum_json(const KindSum& sum) {
  return {{"mappings", sum.mappings},         {"size_bytes", sum.size_bytes},       {"rss_bytes", sum.rss_bytes},
          {"pss_bytes", sum.pss_bytes},       {"swapped_bytes", sum.swapped_bytes}, {"huge_bytes", sum.huge_bytes}};
}

Json place_json(const Place& place, const Residency& residency) {
  const Mapping& mapping = place.mapping;
  Json json = {{"start", fmt::format("{:#x}", mapping.start)},
               {"end", fmt::format("{:#x}", mapping.end)},
               {"size_bytes", mapping.size_bytes()},
               {"permissions", mapping.permissions},
               {"kind", kind_key(place.kind)},
               {"label", place.label},
               {"path", mapping.path.empty() ? Json(nullptr) : Json(mapping.path)},
               {"offset_bytes", mapping.offset},
               {"arena", place.arena != 0 ? Json(place.arena) : Json(nullptr)},
               {"thread", place.thread != 0 ? Json(place.thread) : Json(nullptr)},
               {"rss_bytes", mapping.rss_bytes},
               {"pss_bytes", mapping.pss_bytes},
               {"anonymous_bytes", mapping.anonymous_bytes},
               {"dirty_bytes", mapping.dirty_bytes},
               {"shared_bytes", mapping.shared_bytes},
               {"swapped_bytes", mapping.swapped_bytes},
               {"huge_bytes", mapping.huge_bytes},
               {"locked_bytes", mapping.locked_bytes}};
  const bool known = !residency.cells.empty();
  json["residency"] = known ? Json(residency_bar(residency)) : Json(nullptr);
  json["present_pages"] = known && !residency.sampled ? Json(residency.present_pages) : Json(nullptr);
  json["swapped_pages"] = known && !residency.sampled ? Json(residency.swapped_pages) : Json(nullptr);
  return json;
}

}  // namespace

std::string render_map_json(const ProcessView& view, const std::vector<Residency>& residency) {
  Json json = {{"pid", view.stat.pid},
               {"command", view.command},
               {"executable", view.executable.empty() ? Json(nullptr) : Json(view.executable)},
               {"state", std::string(1, view.stat.state)},
               {"kernel_thread", view.stat.kernel_thread},
               {"minor_faults", view.stat.minor_faults},
               {"major_faults", view.stat.major_faults},
               {"page_tables_bytes", view.status ? Json(view.status->page_table_bytes) : Json(nullptr)}};
  json["total"] = sum_json(sum_of(view.places));
  json["kinds"] = Json::object();
  for (const KindSum& sum : sums_by_kind(view.places)) json["kinds"][kind_key(sum.kind)] = sum_json(sum);
  json["threads"] = Json::array();
  for (const Thread& thread : view.threads) json["threads"].push_back({{"tid", thread.tid}, {"name", thread.name}});
  json["mappings"] = Json::array();
  for (std::size_t i = 0; i < view.places.size(); ++i) json["mappings"].push_back(place_json(view.places[i], residency[i]));
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace faultline::live
