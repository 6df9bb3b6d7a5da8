#include "replay/site_touches.h"

#include <bit>
#include <cmath>

namespace faultline::replay {
namespace {

std::uint64_t size_class(std::uint64_t bytes) { return static_cast<std::uint64_t>(std::bit_width(bytes)); }

}  // namespace

void SiteTouches::Seen::add(const Seen& more) {
  untouched += more.untouched;
  read_only += more.read_only;
  read_first += more.read_first;
  written += more.written;
  changed += more.changed;
}

void SiteTouches::learn(trace::StackId stack, std::uint64_t size, const Block& block) {
  if (block.empty()) return;
  for (Site* site : {&by_site_[{stack, size_class(size)}], &by_size_[{0, size}], &by_class_[{0, size_class(size)}]}) {
    Seen& half = site->halves[site->blocks++ % 2];
    for (const auto& [part, seen] : block) {
      site->parts[part].add(seen);
      site->all.add(seen);
      half.add(seen);
    }
  }
}

std::optional<SiteTouches::Usual> SiteTouches::judge(const std::map<Key, Site>& table, const Key& key, unsigned part) {
  const auto at = table.find(key);
  if (at == table.end()) return std::nullopt;
  constexpr double kEnough = 4;  // pages, for a part to speak for itself
  const Seen& seen = at->second.parts[part].pages() >= kEnough ? at->second.parts[part] : at->second.all;
  const double pages = seen.pages(), touched = seen.touched();
  if (pages < 1) return std::nullopt;
  const Seen& order = seen.in_order() >= 1 ? seen : at->second.all;
  return Usual{.touched = touched / pages,
               .order_seen = order.in_order() >= 1,
               .read_first = order.read_first > order.in_order() / 2,
               .read_only = seen.read_only > touched / 2,
               .seen = true};
}

SiteTouches::Usual SiteTouches::usual(trace::StackId stack, std::uint64_t size, unsigned part) const {
  if (auto usual = judge(by_site_, {stack, size_class(size)}, part)) {
    usual->of_site = true;
    return *usual;
  }
  if (const auto usual = judge(by_size_, {0, size}, part)) return *usual;
  if (const auto usual = judge(by_class_, {0, size_class(size)}, part)) return *usual;
  return {};
}

bool SiteTouches::spread(trace::StackId stack, std::uint64_t size, double touched) {
  double& carried = carried_[{stack, size_class(size)}];
  carried += touched;
  if (carried < 0.999) return false;
  carried -= 1;
  return true;
}

double SiteTouches::error_within() const {
  double wrong = 0, predicted = 0;
  for (const auto& [key, site] : by_site_) {
    const Seen &one = site.halves[0], &other = site.halves[1];
    if (one.pages() == 0 || other.pages() == 0) continue;
    const double expected = other.touched() / other.pages() * one.pages();
    wrong += std::abs(expected - one.touched());
    predicted += expected;
  }
  return predicted == 0 ? 1 : std::clamp(wrong / predicted, kLeastError, 1.0);
}

double SiteTouches::error_across() const {
  double wrong = 0, predicted = 0;
  for (const auto& [key, site] : by_site_) {
    const Seen& like = by_class_.at({0, key.second}).all;
    const double others = like.pages() - site.all.pages(), touched = like.touched() - site.all.touched();
    const double expected = (others >= 1 ? touched / others : 1) * site.all.pages();
    wrong += std::abs(expected - site.all.touched());
    predicted += expected;
  }
  return predicted == 0 ? 1 : std::clamp(wrong / predicted, kLeastError, 1.0);
}

}  // namespace faultline::replay
