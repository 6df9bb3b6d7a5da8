#include "live/view/mappings_screen.h"

#include <fmt/format.h>

#include <cmath>

#include "analyze/format.h"
#include "live/printable.h"
#include "live/process_view.h"
#include "live/view/map_view.h"
#include "live/view/signed_bytes.h"
#include "live/view/stat_view.h"

namespace faultline::live {
namespace {

using analyze::format_bytes;

constexpr int kHead = 4, kFoot = 1;

const char* title(MappingOrder order) {
  return order == MappingOrder::rss ? "resident memory" : order == MappingOrder::change ? "change" : "address";
}

std::string row_text(const MappingChange& change) {
  const Mapping& mapping = change.place.mapping;
  return fmt::format("{:012x} {:>9} {:>9} {:>9} {:>8} {:.4} {}{}", mapping.start, format_bytes(mapping.size_bytes()), format_bytes(change.rss_after_bytes),
                     signed_bytes(change.rss_rise_bytes()), mapping.swapped_bytes > 0 ? format_bytes(mapping.swapped_bytes) : "0", mapping.permissions,
                     printable(change.place.label), change.gone ? " (gone)" : "");
}

}  // namespace

void MappingsScreen::refresh() {
  auto sample = watch_.look();
  const bool ended = sample && !*sample;
  if (ended) {
    why_not_ = fmt::format("process {} ended", pid_);
    return;
  }
  if (sample) sample_ = **sample;
  auto view = view_process(*proc_, pid_);
  if (!view) {
    why_not_ = view.error().message();
    changes_.clear();
    return;
  }
  why_not_.clear();
  command_ = view->command;
  if (view->places.empty()) why_not_ = "it has no memory of its own";
  changes_ = compare_mappings(looked_ ? places_ : view->places, view->places);
  looked_ = true;
  places_ = std::move(view->places);
  sort();
}

void MappingsScreen::sort() {
  std::stable_sort(changes_.begin(), changes_.end(), [this](const MappingChange& x, const MappingChange& y) {
    if (order_ == MappingOrder::rss) return x.rss_after_bytes > y.rss_after_bytes;
    if (order_ == MappingOrder::change) return std::abs(x.rss_rise_bytes()) > std::abs(y.rss_rise_bytes());
    return x.place.mapping.start < y.place.mapping.start;
  });
}

void MappingsScreen::draw(TerminalScreen& screen) {
  screen.put(0, fmt::format("{} {}", pid_, command_), Look::bold);
  if (sample_) {
    const StatColumns columns{false, true, sample_->pressure.has_value()};
    screen.put(1, stat_titles(columns), Look::dim);
    screen.put(2, stat_line(*sample_, columns), Look::plain);
  }
  const int shown = std::max(0, screen.rows() - kHead - kFoot);
  screen.put(3, fmt::format("{:>12} {:>9} {:>9} {:>9} {:>8} {:<4} {}", "from", "size", "RSS", "change", "swapped", "", "what"), Look::reverse);
  if (!why_not_.empty()) screen.put(kHead, why_not_, Look::bold);
  selection_.fit(changes_.size(), static_cast<std::size_t>(shown));
  const int below = why_not_.empty() ? 0 : 1;
  for (int row = below; row < shown; ++row) {
    const std::size_t at = selection_.first + static_cast<std::size_t>(row - below);
    if (at >= changes_.size()) break;
    screen.put(kHead + row, row_text(changes_[at]), at == selection_.chosen ? Look::reverse : Look::plain);
  }
  screen.put(screen.rows() - 1, fmt::format("by {}   r RSS  c change  a address  Up/Down  Esc back  q quit", title(order_)), Look::dim);
}

bool MappingsScreen::key(int key, int rows) {
  const std::ptrdiff_t page = std::max(1, rows - kHead - kFoot - 1);
  switch (key) {
    case 'r': order_ = MappingOrder::rss; break;
    case 'c': order_ = MappingOrder::change; break;
    case 'a': order_ = MappingOrder::address; break;
    case static_cast<int>(Key::up): selection_.move(-1, changes_.size()); return true;
    case static_cast<int>(Key::down): selection_.move(1, changes_.size()); return true;
    case static_cast<int>(Key::page_up): selection_.move(-page, changes_.size()); return true;
    case static_cast<int>(Key::page_down): selection_.move(page, changes_.size()); return true;
    case static_cast<int>(Key::home): selection_ = {}; return true;
    case static_cast<int>(Key::end): selection_.move(static_cast<std::ptrdiff_t>(changes_.size()), changes_.size()); return true;
    default: return false;
  }
  selection_ = {};
  sort();
  return true;
}

}  // namespace faultline::live
