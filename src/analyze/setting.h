// Setting: a joint setting of malloc as names and values.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace faultline::analyze {

// Tunable name (without "glibc.malloc.") to value. Sorted, so equal settings compare equal.
using Setting = std::map<std::string, std::uint64_t>;

// The value of a setting that is taken away: the recorded run had it.
inline constexpr std::uint64_t kTakenAway = ~std::uint64_t{0};

// "mmap_threshold=1048576" and so on, as they are written.
std::vector<std::string> assignments(const Setting& setting);

}  // namespace faultline::analyze
