#include "analyze/search_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <set>

#include "analyze/what_if.h"
#include "heap/tunable_table.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * 1024;
constexpr std::uint64_t kSmallestThreshold = 16 * kKiB;
constexpr std::uint64_t kLeastPeriodMs = 100;  // a thread that wakes more often costs more than it gives back

std::uint64_t rounded(std::uint64_t bytes, std::uint64_t least) { return std::bit_ceil(std::max(bytes, least)); }

bool is_threshold(const std::string& name) { return name == "mmap_threshold" || name == "trim_threshold"; }

bool gives(const Setting& setting, const char* name) {
  const auto at = setting.find(name);
  return at != setting.end() && at->second != kTakenAway;
}

// A lone threshold, or a lone mmap_max, freezes the adaptation of what it leaves at 128 KiB: only worth a try on purpose.
bool lone(const Setting& setting) {
  const bool mmap = gives(setting, "mmap_threshold") || gives(setting, "mmap_max");
  return gives(setting, "top_pad") ? false : mmap != gives(setting, "trim_threshold");
}

// 1, 2 or 5 times a power of ten, not more than the value.
std::uint64_t round_down(std::uint64_t value) {
  std::uint64_t unit = 1;
  while (value >= 10 * unit) unit *= 10;
  return value >= 5 * unit ? 5 * unit : value >= 2 * unit ? 2 * unit : unit;
}

std::vector<std::uint64_t> trim_periods_ms(const SizeProfile& profile) {
  std::vector<std::uint64_t> list;
  for (const std::uint64_t parts : {3, 12, 50})
    if (profile.duration_ms / parts >= kLeastPeriodMs) list.push_back(round_down(profile.duration_ms / parts));
  return list;
}

std::vector<std::uint64_t> trim_periods_frees(const SizeProfile& profile) {
  std::vector<std::uint64_t> list;
  for (const std::uint64_t parts : {4, 30})
    if (profile.frees / parts >= 1000) list.push_back(round_down(profile.frees / parts));
  return list;
}

}  // namespace

std::vector<Setting> first_settings(const SizeProfile& profile) {
  std::vector<Setting> list;
  const std::uint64_t above_largest = rounded(profile.largest_block + 4096, 256 * kKiB);
  const std::uint64_t working_set = rounded(profile.peak_large_bytes + profile.peak_large_bytes / 8, kMiB);
  const std::uint64_t all_live = rounded(profile.peak_live_bytes + profile.peak_live_bytes / 4, kMiB);

  // Blocks stay in the heap, and the heap keeps its top: both thresholds together.
  for (std::uint64_t trim : {all_live, working_set}) list.push_back({{"mmap_threshold", above_largest}, {"trim_threshold", trim}});
  // Less memory: large blocks on their own mappings, so that freeing gives them back; a short top.
  for (std::uint64_t low : {128 * kKiB, 32 * kKiB}) list.push_back({{"mmap_threshold", low}, {"trim_threshold", 128 * kKiB}});
  // Trimming leaves top_pad behind, growth asks for it at once: fewer brk calls, and the only knob that is safe alone.
  for (std::uint64_t pad : {4 * kMiB, working_set}) list.push_back({{"top_pad", std::min(pad, kNever)}});
  list.push_back({{"mmap_threshold", 64 * kKiB}, {"trim_threshold", 64 * kKiB}, {"top_pad", 0}});
  if (profile.threads > 1)
    for (const std::uint64_t most : {1, 2}) list.push_back({{"arena_max", most}});
  for (const std::uint64_t period : trim_periods_ms(profile)) list.push_back({{kTrimEveryMs, period}});

  for (std::uint64_t trim : {working_set, all_live, kNever}) list.push_back({{"mmap_max", 0}, {"trim_threshold", trim}});
  for (std::uint64_t mmap : {above_largest, kNever})
    for (std::uint64_t trim : {working_set, all_live, kNever}) list.push_back({{"mmap_threshold", mmap}, {"trim_threshold", trim}});
  // The middle ground: blocks up to one of the program's own sizes in the heap, larger ones mapped.
  for (std::uint64_t size : profile.large_sizes) {
    list.push_back({{"mmap_threshold", size}, {"trim_threshold", 2 * size}});
    list.push_back({{"mmap_threshold", size}, {"trim_threshold", working_set}});
  }
  for (std::uint64_t pad : {kMiB, all_live}) list.push_back({{"top_pad", std::min(pad, kNever)}});
  list.push_back({{"mmap_threshold", above_largest}, {"trim_threshold", all_live}, {"top_pad", kMiB}});
  list.push_back({{"mmap_threshold", kNever}, {"trim_threshold", kNever}, {"top_pad", all_live}});
  for (std::uint64_t low : {64 * kKiB, 256 * kKiB, kMiB}) list.push_back({{"mmap_threshold", low}, {"trim_threshold", 128 * kKiB}});
  list.push_back({{"mmap_threshold", 128 * kKiB}, {"trim_threshold", 64 * kKiB}, {"top_pad", 0}});
  list.push_back({{"mmap_threshold", 128 * kKiB}, {"trim_threshold", kNever}});
  list.push_back({{"top_pad", 0}, {"trim_threshold", 128 * kKiB}, {"mmap_threshold", above_largest}});

  std::set<Setting> seen;
  std::erase_if(list, [&](const Setting& setting) { return !seen.insert(setting).second; });
  return list;
}

std::vector<Setting> without_what_is_set(const replay::Program& program) {
  std::vector<Setting> list;
  Setting all;
  const heap::Tunables recorded = replay::recorded_parameters(program).tunables;
  for (const heap::Tunable& tunable : heap::kTunables)
    if (tunable.load(recorded)) all[std::string(tunable.name)] = kTakenAway;
  const bool calls = std::any_of(program.events.begin(), program.events.end(), [](const replay::Event& event) { return event.op == trace::HeapOp::mallopt; });
  if (!all.empty()) list.push_back(all);
  if (calls) list.push_back({{kMallopt, kTakenAway}});
  if (calls && !all.empty()) {
    list.push_back(all);
    list.back()[kMallopt] = kTakenAway;
  }
  if (all.size() > 1)
    for (const auto& [name, value] : all) list.push_back({{name, value}});
  return list;
}

std::vector<Setting> neighbours(const Setting& setting) {
  std::vector<Setting> list;
  auto moved = [](std::uint64_t value, bool up) { return up ? std::min(value * 2, kNever) : value / 2; };
  for (const auto& [name, value] : setting) {
    if (value == kTakenAway || (!is_threshold(name) && name != "top_pad")) continue;
    for (const bool up : {false, true}) {
      const std::uint64_t next = moved(value, up);
      if (next == value || (is_threshold(name) && next < kSmallestThreshold)) continue;
      Setting other = setting;
      other[name] = next;
      list.push_back(std::move(other));
    }
    Setting without = setting;
    without.erase(name);
    if (!without.empty() && !lone(without)) list.push_back(std::move(without));
  }
  if (gives(setting, "mmap_threshold") && gives(setting, "trim_threshold")) {
    for (const bool up : {false, true}) {
      Setting other = setting;
      for (auto& [name, value] : other)
        if (is_threshold(name)) value = std::max(moved(value, up), kSmallestThreshold);
      list.push_back(std::move(other));
    }
  }
  if (gives(setting, "mmap_threshold") && !setting.contains("mmap_max")) {
    Setting few = setting;
    few["mmap_max"] = 16;
    list.push_back(std::move(few));
  }
  if (!setting.contains("top_pad")) {
    Setting padded = setting;
    padded["top_pad"] = kMiB;
    list.push_back(std::move(padded));
  }
  return list;
}

std::vector<Setting> with_more(const Setting& setting, const SizeProfile& profile) {
  std::vector<Setting> list;
  const auto add = [&](std::initializer_list<std::pair<const char*, std::uint64_t>> more) {
    Setting other = setting;
    for (const auto& [name, value] : more) other[name] = value;
    list.push_back(std::move(other));
  };
  for (const std::uint64_t period : trim_periods_ms(profile)) add({{kTrimEveryMs, period}});
  for (const std::uint64_t period : trim_periods_frees(profile)) add({{kTrimEveryFrees, period}});
  if (profile.threads > 1) {
    for (const std::uint64_t most : {1, 2, 4}) add({{"arena_max", most}});
    add({{"arena_test", 2}});
  }
  if (profile.thp_by_madvise) add({{"hugetlb", 1}});
  if (profile.small_allocations == 0) return list;
  add({{"tcache_count", 0}});
  add({{"mxfast", 0}});
  add({{"tcache_count", 32}});
  add({{"tcache_max", 256}});
  add({{"mxfast", 160}});
  add({{"tcache_count", 256}});
  add({{"tcache_max", 64}});
  add({{"tcache_count", 0}, {"mxfast", 0}});
  return list;
}

SettingSampler::SettingSampler(const SizeProfile& profile)
    : profile_(profile), periods_ms_(trim_periods_ms(profile)), periods_frees_(trim_periods_frees(profile)) {
  for (std::uint64_t size = 32 * kKiB; size <= rounded(2 * profile.peak_live_bytes, kMiB); size *= 2) thresholds_.push_back(size);
  for (const std::uint64_t size : profile.large_sizes) thresholds_.push_back(size + size / 2);
  thresholds_.push_back(kNever);
  pads_ = {0, 64 * kKiB, kMiB, 4 * kMiB, rounded(profile.peak_large_bytes, kMiB)};
  bases_.push_back({});
  for (Setting& more : with_more({}, profile)) bases_.push_back(std::move(more));
  if (profile.small_allocations != 0) {
    for (const std::uint64_t count : {2, 16, 1000})
      for (const std::uint64_t fast : {64, 160}) bases_.push_back({{"tcache_count", count}, {"mxfast", fast}});
  }
  bases_.push_back({{"hugetlb", 2}});
}

// SplitMix64.
std::uint64_t SettingSampler::random(std::uint64_t below) {
  std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return (z ^ (z >> 31)) % below;
}

Setting SettingSampler::next() {
  Setting setting = one_in(2) ? Setting{} : bases_[random(bases_.size())];
  if (one_in(8)) return setting;
  if (one_in(4)) setting["mmap_max"] = one_in(2) ? 0 : std::uint64_t{1} << random(17);
  if (!setting.contains("mmap_max") || one_in(2)) setting["mmap_threshold"] = of(thresholds_);
  setting["trim_threshold"] = of(thresholds_);
  if (one_in(3)) setting["top_pad"] = of(pads_);
  if (profile_.threads > 1 && one_in(4)) setting["arena_max"] = 1 + random(8);
  if (profile_.threads > 1 && one_in(8)) setting["arena_test"] = 1 + random(16);
  if (!periods_ms_.empty() && one_in(16)) setting[kTrimEveryMs] = of(periods_ms_);
  if (!periods_frees_.empty() && one_in(16)) setting[kTrimEveryFrees] = of(periods_frees_);
  return setting;
}

std::vector<std::string> assignments(const Setting& setting) {
  std::vector<std::string> list;
  for (const auto& [name, value] : setting) list.push_back(value == kTakenAway ? fmt::format("{}=default", name) : fmt::format("{}={}", name, value));
  return list;
}

}  // namespace faultline::analyze
