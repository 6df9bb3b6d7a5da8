#include "report/heap_json.h"

#include <fmt/format.h>

#include "report/name_json.h"

namespace faultline::report {
namespace {

using Json = nlohmann::ordered_json;

void put(Json& json, std::string_view name, const heap::Bytes& bytes) {
  json[fmt::format("{}_bytes", name)] = bytes.bytes;
  json[fmt::format("{}_resident_bytes", name)] = bytes.resident;
}

Json arena_json(const heap::ArenaAccount& arena) {
  Json json = {{"arena_bytes", arena.system_mem}};
  for (std::size_t i = 0; i < heap::kParts; ++i) put(json, heap::name_of(static_cast<heap::Part>(i)), arena.parts[i]);
  json["live_blocks"] = arena.live_blocks;
  json["tcache_blocks"] = arena.cached_blocks;
  json["fastbin_chunks"] = arena.fastbin_chunks;
  json["bin_chunks"] = arena.bin_chunks;
  json["unopened_bytes"] = arena.unopened_bytes;
  put(json, "malloc_trim_pages", arena.trim_pages);
  json["malloc_trim_break_bytes"] = arena.trim_break_drop;
  json["malloc_trim_break_resident_bytes"] = arena.trim_break_resident;
  return json;
}

Json end_pin_json(const analyze::SiteEndPin& end) {
  const heap::EndPin& pin = end.pin;
  Json json = {{"arena", pin.arena},
               {"highest_address", fmt::format("{:#x}", pin.highest)},
               {"highest_bytes", pin.highest_bytes},
               {"blocks", pin.all.blocks},
               {"block_bytes", pin.all.bytes},
               {"cached_bytes", pin.cached_bytes}};
  put(json, "held", pin.held);
  json["fall_bytes"] = pin.fall_bytes;
  json["sites"] = Json::array();
  for (const analyze::SiteShare& share : end.sites) json["sites"].push_back({{"site", name_json(share.name)}, {"blocks", share.blocks}, {"block_bytes", share.bytes}});
  return json;
}

Json page_pin_json(const analyze::SitePagePin& page) {
  const heap::PagePin& pin = page.pin;
  Json json = {{"site", pin.blocks.owner == heap::kNoOwner ? Json(nullptr) : name_json(page.name)}, {"blocks", pin.blocks.blocks}, {"block_bytes", pin.blocks.bytes}};
  put(json, "held", pin.held);
  json["would_return_bytes"] = pin.weighed ? Json(pin.gain_bytes) : Json(nullptr);
  return json;
}

Json moment_json(const analyze::HeapMomentState& moment) {
  Json json = {{"when", moment.when}, {"time_ns", moment.time_ns}, {"heap_events", moment.events}};
  json["total"] = arena_json(moment.accounting.total);
  json["arenas"] = Json::array();
  for (const heap::ArenaAccount& arena : moment.accounting.arenas) json["arenas"].push_back(arena_json(arena));
  const heap::MappedAccount& mapped = moment.accounting.mapped;
  json["mapped"] = {{"mapped_bytes", mapped.mapped_bytes}, {"blocks", mapped.blocks}};
  put(json["mapped"], "live", mapped.live);
  put(json["mapped"], "rounding", mapped.rounding);
  json["end_pins"] = Json::array();
  for (const analyze::SiteEndPin& end : moment.ends) json["end_pins"].push_back(end_pin_json(end));
  json["page_pins"] = Json::array();
  for (const analyze::SitePagePin& page : moment.pages) json["page_pins"].push_back(page_pin_json(page));
  return json;
}

}  // namespace

Json heap_json(const analyze::HeapMoments& heap) {
  Json json = {{"why_not", text_or_null(heap.why_not)}, {"addresses_matched", heap.addresses_matched}, {"addresses_total", heap.addresses_total}};
  json["moments"] = Json::array();
  for (const analyze::HeapMomentState& moment : heap.moments) json["moments"].push_back(moment_json(moment));
  return json;
}

}  // namespace faultline::report
