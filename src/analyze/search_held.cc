#include "analyze/search_held.h"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/format.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kWorthNaming = std::uint64_t{1} << 20;
constexpr double kShareWorthNaming = 0.10;
constexpr std::size_t kNamedOfAKind = 3;
constexpr double kMuch = 0.20;  // a setting that gives back so much of the memory is an answer by itself

std::string site_text(const SiteName& name) {
  return fmt::format("{} ({}){}", name.function, name.location(), name.callers.empty() ? "" : ", called by " + name.callers.front());
}

class List {
 public:
  List(HeldMemory::Kind kind, std::uint64_t of) : kind_(kind), of_(of) {}
  void add(const SiteName& name, std::uint64_t bytes, std::uint64_t blocks) {
    if (of_ == 0 || bytes < kWorthNaming) return;
    const double share = static_cast<double>(bytes) / static_cast<double>(of_);
    if (share >= kShareWorthNaming) list_.push_back({kind_, site_text(name), bytes, blocks, share});
  }
  void move_to(std::vector<HeldMemory>& all) {
    std::stable_sort(list_.begin(), list_.end(), [](const HeldMemory& x, const HeldMemory& y) { return x.bytes > y.bytes; });
    if (list_.size() > kNamedOfAKind) list_.resize(kNamedOfAKind);
    all.insert(all.end(), list_.begin(), list_.end());
  }

 private:
  HeldMemory::Kind kind_;
  std::uint64_t of_;
  std::vector<HeldMemory> list_;
};

}  // namespace

const char* name_of(HeldMemory::Kind kind) {
  switch (kind) {
    case HeldMemory::Kind::live_at_peak: return "live_at_peak";
    case HeldMemory::Kind::live_at_end: return "live_at_end";
    case HeldMemory::Kind::pins_break: return "pins_break";
    case HeldMemory::Kind::shares_pages: return "shares_pages";
  }
  return "";
}

std::string HeldMemory::text() const {
  const std::string amount = fmt::format("{} ({:.0f} % of {})", format_bytes(bytes), 100 * share, kind == Kind::live_at_peak ? "peak RSS" : "RSS at exit");
  const std::string count = blocks == 1 ? "one block" : fmt::format("{} blocks", format_count(blocks));
  switch (kind) {
    case Kind::live_at_peak: return fmt::format("at the peak, {} of {} are live: {}", amount, count, site);
    case Kind::live_at_end: return fmt::format("at the end, {} of {} are still live: {}", amount, count, site);
    case Kind::pins_break: return fmt::format("{} of the heap's end stay because of {} above them: {}", amount, count, site);
    case Kind::shares_pages: return fmt::format("{} are free but in pages of {}: {}", amount, count, site);
  }
  return {};
}

bool memory_is_held(const Advice& advice) {
  if (advice.candidates.empty() || (advice.recommended && advice.gain != Objective::time)) return false;
  std::uint64_t peak = advice.baseline().rss_peak_bytes, end = advice.baseline().rss_end_bytes;
  for (const Candidate& candidate : advice.candidates) {
    peak = std::min(peak, candidate.predicted.rss_peak_bytes);
    end = std::min(end, candidate.predicted.rss_end_bytes);
  }
  const auto stays = [](std::uint64_t least, std::uint64_t now) { return static_cast<double>(least) > (1 - kMuch) * static_cast<double>(now); };
  return stays(peak, advice.baseline().rss_peak_bytes) || stays(end, advice.baseline().rss_end_bytes);
}

std::vector<HeldMemory> held_memory(const Analysis& analysis, const Advice& advice) {
  const std::uint64_t peak = advice.baseline().rss_peak_bytes, end = advice.baseline().rss_end_bytes;
  List at_peak(HeldMemory::Kind::live_at_peak, peak), at_end(HeldMemory::Kind::live_at_end, end);
  for (const SiteRow& row : analysis.sites) {
    at_peak.add(row.name, row.counters.at_peak_bytes, row.counters.at_peak_blocks);
    at_end.add(row.name, row.counters.live_bytes, row.counters.live_blocks);
  }
  List break_pins(HeldMemory::Kind::pins_break, end), sharers(HeldMemory::Kind::shares_pages, end);
  for (const NamedPin& pin : analysis.pins) break_pins.add(pin.name, pin.pin.free_below_bytes, 1);
  for (const NamedHolder& holder : analysis.holders) sharers.add(holder.name, holder.held_bytes, holder.blocks);
  std::vector<HeldMemory> all;
  for (List* list : {&at_peak, &break_pins, &sharers, &at_end}) list->move_to(all);
  return all;
}

}  // namespace faultline::analyze
