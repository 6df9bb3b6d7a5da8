#include "analyze/search_candidates.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kKiB = 1024, kMiB = 1024 * 1024;
constexpr std::uint64_t kSmallestThreshold = 16 * kKiB;

std::uint64_t rounded(std::uint64_t bytes, std::uint64_t least) { return std::bit_ceil(std::max(bytes, least)); }

bool is_threshold(const std::string& name) { return name == "mmap_threshold" || name == "trim_threshold"; }

// A lone threshold, or a lone mmap_max, freezes the adaptation of what it leaves at 128 KiB: only worth a try on purpose.
bool lone(const Setting& setting) {
  const bool mmap = setting.contains("mmap_threshold") || setting.contains("mmap_max");
  return setting.contains("top_pad") ? false : mmap != setting.contains("trim_threshold");
}

}  // namespace

std::vector<Setting> first_settings(const SizeProfile& profile) {
  std::vector<Setting> list;
  const std::uint64_t above_largest = rounded(profile.largest_block + 4096, 256 * kKiB);
  const std::uint64_t working_set = rounded(profile.peak_large_bytes + profile.peak_large_bytes / 8, kMiB);
  const std::uint64_t all_live = rounded(profile.peak_live_bytes + profile.peak_live_bytes / 4, kMiB);

  // Blocks stay in the heap, and the heap keeps its top: both thresholds together.
  for (std::uint64_t mmap : {above_largest, kNever})
    for (std::uint64_t trim : {working_set, all_live, kNever}) list.push_back({{"mmap_threshold", mmap}, {"trim_threshold", trim}});
  for (std::uint64_t trim : {working_set, all_live, kNever}) list.push_back({{"mmap_max", 0}, {"trim_threshold", trim}});
  // The middle ground: blocks up to one of the program's own sizes in the heap, larger ones mapped.
  for (std::uint64_t size : profile.large_sizes) {
    list.push_back({{"mmap_threshold", size}, {"trim_threshold", 2 * size}});
    list.push_back({{"mmap_threshold", size}, {"trim_threshold", working_set}});
  }
  // Trimming leaves top_pad behind, growth asks for it at once: fewer brk calls, and the only knob that is safe alone.
  for (std::uint64_t pad : {kMiB, 4 * kMiB, working_set, all_live}) list.push_back({{"top_pad", std::min(pad, kNever)}});
  list.push_back({{"mmap_threshold", above_largest}, {"trim_threshold", all_live}, {"top_pad", kMiB}});
  list.push_back({{"mmap_threshold", kNever}, {"trim_threshold", kNever}, {"top_pad", all_live}});
  // Less memory: large blocks on their own mappings, so that freeing gives them back; a short top.
  for (std::uint64_t low : {32 * kKiB, 64 * kKiB, 128 * kKiB, 256 * kKiB, kMiB})
    list.push_back({{"mmap_threshold", low}, {"trim_threshold", 128 * kKiB}});
  for (std::uint64_t low : {64 * kKiB, 128 * kKiB})
    list.push_back({{"mmap_threshold", low}, {"trim_threshold", 64 * kKiB}, {"top_pad", 0}});
  list.push_back({{"mmap_threshold", 128 * kKiB}, {"trim_threshold", kNever}});
  list.push_back({{"top_pad", 0}, {"trim_threshold", 128 * kKiB}, {"mmap_threshold", above_largest}});

  std::sort(list.begin(), list.end());
  list.erase(std::unique(list.begin(), list.end()), list.end());
  return list;
}

std::vector<Setting> neighbours(const Setting& setting) {
  std::vector<Setting> list;
  auto moved = [](std::uint64_t value, bool up) { return up ? std::min(value * 2, kNever) : value / 2; };
  for (const auto& [name, value] : setting) {
    if (!is_threshold(name) && name != "top_pad") continue;
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
  if (setting.contains("mmap_threshold") && setting.contains("trim_threshold")) {
    for (const bool up : {false, true}) {
      Setting other = setting;
      for (auto& [name, value] : other)
        if (is_threshold(name)) value = std::max(moved(value, up), kSmallestThreshold);
      list.push_back(std::move(other));
    }
  }
  if (!setting.contains("top_pad")) {
    Setting padded = setting;
    padded["top_pad"] = kMiB;
    list.push_back(std::move(padded));
  }
  return list;
}

std::vector<Setting> with_caches(const Setting& setting, const SizeProfile& profile) {
  std::vector<Setting> list;
  if (profile.small_allocations == 0) return list;
  for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{32}, std::uint64_t{256}}) {
    Setting other = setting;
    other["tcache_count"] = count;
    list.push_back(std::move(other));
  }
  for (const std::uint64_t most : {std::uint64_t{64}, std::uint64_t{256}}) {
    Setting other = setting;
    other["tcache_max"] = most;
    list.push_back(std::move(other));
  }
  for (const std::uint64_t most : {std::uint64_t{0}, std::uint64_t{160}}) {
    Setting other = setting;
    other["mxfast"] = most;
    list.push_back(std::move(other));
  }
  return list;
}

std::vector<std::string> assignments(const Setting& setting) {
  std::vector<std::string> list;
  for (const auto& [name, value] : setting) list.push_back(fmt::format("{}={}", name, value));
  return list;
}

}  // namespace faultline::analyze
