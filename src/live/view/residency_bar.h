// Residency as characters, low to high.
#pragma once

#include <string>

#include "live/pagemap.h"

namespace faultline::live {

// '#' all pages resident, '+' some, '~' none but some in swap, '.' none.
std::string residency_bar(const Residency& residency);
inline constexpr char kBarLegend[] = "# resident   + partly   ~ in swap   . not resident";

}  // namespace faultline::live
