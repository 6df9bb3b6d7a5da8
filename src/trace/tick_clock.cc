#include "trace/tick_clock.h"

#include <algorithm>

namespace faultline::trace {

TickClock::TickClock(std::vector<TickPair> pairs) {
  std::sort(pairs.begin(), pairs.end(), [](const TickPair& x, const TickPair& y) { return x.tick < y.tick; });
  std::vector<TickPair> good;
  for (const TickPair& pair : pairs) {
    if (good.empty() || (pair.tick > good.back().tick && pair.ns > good.back().ns)) good.push_back(pair);
  }
  for (std::size_t i = 0; i + 1 < good.size(); ++i) {
    const double rate = static_cast<double>(good[i + 1].ns - good[i].ns) / static_cast<double>(good[i + 1].tick - good[i].tick);
    pieces_.push_back({good[i].tick, good[i].ns, rate});
  }
  if (pieces_.empty()) pieces_.push_back({good.empty() ? 0 : good[0].tick, good.empty() ? 0 : good[0].ns, 1.0});
}

std::uint64_t TickClock::ns(std::uint64_t tick) const {
  if (pieces_.empty()) return tick;
  if (tick < pieces_[last_].tick || (last_ + 1 < pieces_.size() && tick >= pieces_[last_ + 1].tick)) {
    auto after = std::upper_bound(pieces_.begin(), pieces_.end(), tick, [](std::uint64_t t, const Piece& p) { return t < p.tick; });
    last_ = after == pieces_.begin() ? 0 : static_cast<std::size_t>(after - pieces_.begin()) - 1;
  }
  const Piece& piece = pieces_[last_];
  if (tick >= piece.tick) {
    const double past = static_cast<double>(tick - piece.tick) * piece.ns_per_tick;
    if (past >= 9e18) return piece.ns;  // a damaged stamp: keep the number representable
    const std::uint64_t value = piece.ns + static_cast<std::uint64_t>(past);
    return last_ + 1 < pieces_.size() ? std::min(value, pieces_[last_ + 1].ns) : value;
  }
  const double before = static_cast<double>(piece.tick - tick) * piece.ns_per_tick;
  return before >= static_cast<double>(piece.ns) ? 0 : piece.ns - static_cast<std::uint64_t>(before);
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
