#include "trace/tick_clock.h"

#include <algorithm>

namespace faultline::trace {

namespace {
constexpr std::uint64_t kEndless = std::uint64_t{1} << 52;
}

TickClock::TickClock(std::vector<TickPair> pairs) {
  std::sort(pairs.begin(), pairs.end(), [](const TickPair& x, const TickPair& y) { return x.tick < y.tick; });
  std::vector<TickPair> good;
  for (const TickPair& pair : pairs) {
    const bool later = good.empty() || (pair.tick > good.back().tick && pair.ns > good.back().ns);
    // A counter slower than 1 MHz is none: damage, and too large a rate for the arithmetic of ns().
    if (later && (good.empty() || (pair.ns - good.back().ns) / (pair.tick - good.back().tick) < 1000)) good.push_back(pair);
  }
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    const std::uint64_t ticks = good[i + 1].tick - good[i].tick;
    pieces_.push_back({good[i].tick, good[i].ns, ticks, static_cast<double>(good[i + 1].ns - good[i].ns) / static_cast<double>(ticks)});
  }
  if (pieces_.empty()) pieces_.push_back({good.empty() ? 0 : good[0].tick, good.empty() ? 0 : good[0].ns, 0, 1.0});
  pieces_.back().ticks = kEndless;
}

std::uint64_t TickClock::ns_elsewhere(std::uint64_t tick) const {
  if (pieces_.empty()) return tick;
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), tick, [](std::uint64_t t, const Piece& p) { return t < p.tick; });
  last_ = after == pieces_.begin() ? pieces_.front() : *(after - 1);
  if (tick >= last_.tick) {
    const double past = static_cast<double>(tick - last_.tick) * last_.ns_per_tick;
    return past < 9e18 ? last_.ns + static_cast<std::uint64_t>(past) : last_.ns;  // a damaged stamp: any number will do
  }
  const double before = static_cast<double>(last_.tick - tick) * last_.ns_per_tick;
  return before >= static_cast<double>(last_.ns) ? 0 : last_.ns - static_cast<std::uint64_t>(before);
}

std::uint64_t TickClock::tick(std::uint64_t ns) const {
  if (pieces_.empty()) return ns;
  auto after = std::upper_bound(pieces_.begin(), pieces_.end(), ns, [](std::uint64_t t, const Piece& p) { return t < p.ns; });
  const Piece& piece = after == pieces_.begin() ? pieces_.front() : *(after - 1);
  const double distance = (static_cast<double>(ns) - static_cast<double>(piece.ns)) / piece.ns_per_tick;
  const double value = static_cast<double>(piece.tick) + distance;
  return value <= 0 ? 0 : static_cast<std::uint64_t>(value);
}

}  // namespace faultline::trace
