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
}

void SiteTouches::learn(trace::StackId stack, std::uint64_t size, unsigned part, const Seen& seen) {
  for (Site* site : {&by_site_[{stack, size_class(size)}], &by_size_[{0, size}], &by_class_[{0, size_class(size)}]}) {
    site->parts[part].add(seen);
    site->all.add(seen);
  }
}

std::optional<SiteTouches::Usual> SiteTouches::judge(const std::map<Key, Site>& table, const Key& key, unsigned part) {
  const auto at = table.find(key);
  if (at == table.end()) return std::nullopt;
  constexpr double kEnough = 4;  // pages, for a part to speak for itself
  const Seen& seen = at->second.parts[part].pages() >= kEnough ? at->second.parts[part] : at->second.all;
  const double pages = seen.pages(), touched = pages - seen.untouched;
  if (pages < 1) return std::nullopt;
  return Usual{.touched = touched / pages,
               .read_first = seen.read_first > touched / 2,
               .read_only = seen.read_only > touched / 2,
               .seen = true};
}

SiteTouches::Usual SiteTouches::usual(trace::StackId stack, std::uint64_t size, unsigned part) const {
  if (const auto usual = judge(by_site_, {stack, size_class(size)}, part)) return *usual;
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

// Pages of a site that is touched to the share p, judged by that share, are wrong as often as they are right by chance.
double SiteTouches::misjudged() const {
  double pages = 0, wrong = 0;
  for (const auto& [key, site] : by_site_) {
    for (const Seen& part : site.parts) {
      const double seen = part.pages();
      if (seen == 0) continue;
      const double touched = (seen - part.untouched) / seen;
      pages += seen;
      wrong += seen * 2 * touched * (1 - touched);
    }
  }
  return pages == 0 ? 1 : wrong / pages;
}

}  // namespace faultline::replay
