#include "analyze/gate.h"

#include <algorithm>
#include <map>

namespace faultline::analyze {
namespace {

constexpr const char* kKeys[kFigureCount] = {"peak_rss", "end_rss", "minor_faults", "major_faults", "peak_live", "end_live", "allocations"};
constexpr const char* kTitles[kFigureCount] = {"peak RSS", "RSS at the end", "minor faults", "major faults", "peak of live bytes", "live bytes at the end", "allocations"};

std::uint64_t share_of(Figure figure, const SiteCounters& counters) {
  switch (figure) {
    case Figure::peak_rss:
    case Figure::peak_live: return counters.at_peak_bytes;
    case Figure::end_rss:
    case Figure::end_live: return counters.live_bytes;
    case Figure::minor_faults: return counters.minor_faults;
    case Figure::major_faults: return counters.major_faults;
    case Figure::allocations: return counters.calls;
  }
  return 0;
}

bool of_malloc(Region region) { return region == Region::heap_block || region == Region::mmapped_chunk; }

std::string key_of(const SiteName& name) {
  std::string key = name.function + "|" + base_name(name.file) + "|" + base_name(name.module) + "|" + name.via;
  for (std::size_t i = 0; i < name.depth && i < name.callers.size(); ++i) key += "|" + name.callers[i];
  return key;
}

std::string in_full(const std::string& function) { return function; }

void gather(Figure figure, const Analysis& analysis, std::uint64_t Growth::*side, std::map<std::string, Growth>& rows) {
  const bool faults = figure == Figure::minor_faults || figure == Figure::major_faults;
  std::uint64_t sites_faults = 0, malloc_faults = 0;
  for (const SiteRow& site : analysis.sites) {
    const std::uint64_t share = share_of(figure, site.counters);
    if (faults) sites_faults += share;
    if (share == 0) continue;
    Growth& row = rows[key_of(site.name)];
    row.name = site.name.line_of_text(in_full);  // of the later recording, where both have it
    row.*side += share;
  }
  if (!faults) return;
  for (const RegionRow& region : analysis.regions) {
    if (region.region == Region::recorder) continue;
    const std::uint64_t share = figure == Figure::minor_faults ? region.counters.minor_faults : region.counters.major_faults;
    // Faults of malloc's own in its heap have a site; what is left of the heap's has none.
    if (of_malloc(region.region) || region.region == Region::heap_free) {
      malloc_faults += share;
      continue;
    }
    if (share == 0) continue;
    Growth& row = rows[std::string("region|") + region_key(region.region)];
    row.name = region_title(region.region);
    row.*side += share;
  }
  if (malloc_faults > sites_faults) {
    Growth& row = rows["heap"];
    row.name = "heap memory of no known site";
    row.*side += malloc_faults - sites_faults;
  }
}

}  // namespace

const char* figure_key(Figure figure) { return kKeys[static_cast<std::size_t>(figure)]; }
const char* figure_title(Figure figure) { return kTitles[static_cast<std::size_t>(figure)]; }
bool figure_is_bytes(Figure figure) { return figure != Figure::minor_faults && figure != Figure::major_faults && figure != Figure::allocations; }

std::uint64_t figure_noise(Figure figure) {
  switch (figure) {
    case Figure::peak_rss:
    case Figure::end_rss: return 256 * 1024;
    case Figure::minor_faults:
    case Figure::major_faults: return 64;
    default: return 0;
  }
}

Figures figures_of(const Analysis& analysis, const trace::Meta& meta, const trace::ProcessInfo& process) {
  Figures figures;
  const auto set = [&figures](Figure figure, std::uint64_t value, const char* why_not) {
    const auto at = static_cast<std::size_t>(figure);
    if (*why_not == '\0') figures.values[at] = value;
    else figures.why_not[at] = why_not;
  };
  const char* const no_exit = process.exit_seen ? "" : "the recorder did not see the process end";
  set(Figure::peak_rss, process.rss_peak_bytes, process.rss_peak_bytes > 0 ? "" : no_exit);
  set(Figure::end_rss, process.rss_end_bytes, no_exit);
  std::uint64_t minor = process.unattributed_minor, major = process.unattributed_major;
  for (const RegionRow& row : analysis.regions) {
    if (row.region == Region::recorder) continue;
    minor += row.counters.minor_faults;
    major += row.counters.major_faults;
  }
  const char* const no_faults = meta.faults_recorded ? no_exit : "page faults were not recorded";
  set(Figure::minor_faults, minor, no_faults);
  set(Figure::major_faults, major, no_faults);
  const char* const lost = process.lost_heap_events == 0 ? "" : "heap events were lost";
  set(Figure::peak_live, analysis.attribution.sites.peak_bytes(), lost);
  set(Figure::end_live, analysis.attribution.sites.live_bytes(), lost);
  set(Figure::allocations, analysis.attribution.allocations, lost);
  return figures;
}

std::vector<Growth> growth_of(Figure figure, const Analysis* before, const Analysis& after) {
  std::map<std::string, Growth> rows;
  if (before != nullptr) gather(figure, *before, &Growth::before, rows);
  gather(figure, after, &Growth::after, rows);
  std::vector<Growth> result;
  for (auto& [key, row] : rows) {
    if (row.rise() > 0) result.push_back(std::move(row));
  }
  std::stable_sort(result.begin(), result.end(), [](const Growth& x, const Growth& y) { return x.rise() > y.rise(); });
  return result;
}

}  // namespace faultline::analyze
