#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analyze/format.h"
#include "live/view/signed_bytes.h"
#include "live/view/stat_view.h"

namespace faultline::live {
namespace {

using analyze::format_bytes;
using analyze::format_count;

std::string rate_text(double rate) { return format_count(static_cast<std::uint64_t>(std::llround(rate))); }

}  // namespace

std::string signed_bytes(std::int64_t bytes) {
  if (bytes == 0) return "0";
  return fmt::format("{}{}", bytes > 0 ? "+" : "-", format_bytes(static_cast<std::uint64_t>(bytes > 0 ? bytes : -bytes)));
}

std::string stat_titles(const StatColumns& columns) {
  std::string line;
  if (columns.pid) line += fmt::format("{:>7} ", "PID");
  if (columns.rates) line += fmt::format("{:>9} {:>8} ", "minor/s", "major/s");
  line += fmt::format("{:>11} {:>8} {:>9} ", "minor", "major", "RSS");
  if (columns.rates) line += fmt::format("{:>9} ", "change");
  line += fmt::format("{:>9}", "swapped");
  if (columns.rates && columns.pressure) line += fmt::format(" {:>8}", "pressure");
  return line;
}

std::string stat_line(const WatchSample& sample, const StatColumns& columns) {
  const bool rates = sample.interval_ns > 0;
  std::string line;
  if (columns.pid) line += fmt::format("{:>7} ", sample.stat.pid);
  if (columns.rates) line += fmt::format("{:>9} {:>8} ", rates ? rate_text(sample.minor_per_second()) : "-", rates ? rate_text(sample.major_per_second()) : "-");
  line += fmt::format("{:>11} {:>8} {:>9} ", format_count(sample.stat.minor_faults), format_count(sample.stat.major_faults), format_bytes(sample.rss_bytes()));
  if (columns.rates) line += fmt::format("{:>9} ", rates ? signed_bytes(sample.rss_rise_bytes) : "-");
  line += fmt::format("{:>9}", sample.status ? format_bytes(sample.status->swapped_bytes) : "-");
  if (columns.rates && columns.pressure) line += fmt::format(" {:>8}", sample.pressure_share ? analyze::format_share(*sample.pressure_share) : "-");
  return line;
}

std::string render_changes(const std::vector<MappingChange>& changes, std::size_t most, report::Style style) {
  std::vector<const MappingChange*> order;
  for (const MappingChange& change : changes) {
    if (change.any()) order.push_back(&change);
  }
  if (order.empty()) return {};
  const auto weight = [](const MappingChange* change) { return std::abs(change->rss_rise_bytes()) + std::abs(change->swap_rise_bytes()); };
  std::stable_sort(order.begin(), order.end(), [&](const MappingChange* x, const MappingChange* y) { return weight(x) > weight(y); });
  report::Page page(style);
  page.heading("mappings that changed");
  const bool swap = std::any_of(order.begin(), order.end(), [](const MappingChange* change) { return change->swap_rise_bytes() != 0; });
  std::vector<std::string> titles = {"RSS", "change"};
  if (swap) titles.insert(titles.end(), {"swapped", "change"});
  titles.insert(titles.end(), {"from", "what"});
  report::Table table(titles);
  std::int64_t others = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const MappingChange& change = *order[i];
    if (i >= most) {
      others += change.rss_rise_bytes();
      continue;
    }
    std::vector<std::string> cells = {format_bytes(change.rss_after_bytes), signed_bytes(change.rss_rise_bytes())};
    if (swap) cells.insert(cells.end(), {format_bytes(change.swapped_after_bytes), signed_bytes(change.swap_rise_bytes())});
    cells.push_back(fmt::format("{:012x}", change.place.mapping.start));
    cells.push_back(change.place.label + (change.gone ? " (gone)" : change.appeared ? " (new)" : ""));
    table.row(std::move(cells));
  }
  table.print(page);
  if (order.size() > most) page.dim(fmt::format("{} more: {} in sum", order.size() - most, signed_bytes(others)), 2);
  return page.text();
}

}  // namespace faultline::live
