// Which seed runs in which style, under which GLIBC_TUNABLES, and the machine as the model has to know it.
#pragma once

#include <string>

#include "heap/parameters.h"
#include "heap_trace.h"

namespace faultline::diff {

Style style_of(std::uint64_t seed);
std::string tunables_of(std::uint64_t seed);
heap::Parameters parameters_for(const std::string& tunables);
bool can_check_residency(const std::string& tunables);  // not where the kernel puts huge pages

}  // namespace faultline::diff
