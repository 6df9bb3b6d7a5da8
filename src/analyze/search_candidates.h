// Which joint settings to try for a program, before and after the first answers.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "analyze/search_sizes.h"

namespace faultline::analyze {

// Tunable name (without "glibc.malloc.") to value. Sorted, so equal settings compare equal.
using Setting = std::map<std::string, std::uint64_t>;

inline constexpr std::uint64_t kNever = std::uint64_t{4} << 30;  // a threshold no block or top of a usual program reaches

// The first round: joint settings that follow from the program's sizes.
std::vector<Setting> first_settings(const SizeProfile& profile);
// Neighbours of a good setting: one value moved by a factor of two either way (both thresholds also together), or one
// part dropped where what remains is no lone threshold.
std::vector<Setting> neighbours(const Setting& setting);
// What may go on top of the best: thread cache and fastbin settings.
std::vector<Setting> with_caches(const Setting& setting, const SizeProfile& profile);

std::vector<std::string> assignments(const Setting& setting);

}  // namespace faultline::analyze
