// Which joint settings to try for a program, before and after the first answers.
#pragma once

#include <cstdint>
#include <vector>

#include "analyze/search_sizes.h"
#include "analyze/setting.h"

namespace faultline::analyze {

inline constexpr std::uint64_t kNever = std::uint64_t{4} << 30;  // a threshold no block or top of a usual program reaches

// The first round: joint settings that follow from the program's sizes, the most promising first.
std::vector<Setting> first_settings(const SizeProfile& profile);
// What the program is run with, taken away: all of it, each alone, its mallopt calls.
std::vector<Setting> without_what_is_set(const replay::Program& program);
// Neighbours of a good setting: one value moved by a factor of two either way (both thresholds also together), or one
// part dropped where what remains is no lone threshold.
std::vector<Setting> neighbours(const Setting& setting);
// What may go on top of the best: thread cache and fastbins, arenas if there are threads, huge pages, a malloc_trim period.
std::vector<Setting> with_more(const Setting& setting, const SizeProfile& profile);

// Joint settings without end, drawn from values that fit the program. The same program gets the same ones.
class SettingSampler {
 public:
  explicit SettingSampler(const SizeProfile& profile);
  Setting next();

 private:
  std::uint64_t random(std::uint64_t below);
  bool one_in(std::uint64_t n) { return random(n) == 0; }
  std::uint64_t of(const std::vector<std::uint64_t>& values) { return values[random(values.size())]; }

  SizeProfile profile_;
  std::vector<std::uint64_t> thresholds_, pads_, periods_ms_, periods_frees_;
  std::vector<Setting> bases_;  // what a replay of its own is needed for is drawn from few, the thresholds on top of it freely
  std::uint64_t state_ = 0x9e3779b97f4a7c15;
};

}  // namespace faultline::analyze
