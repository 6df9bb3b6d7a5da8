// Call sites in a line of text.
#pragma once

#include <cstdint>
#include <string>

#include "analyze/site_names.h"

namespace faultline::report {

std::string short_name(const std::string& function);  // without arguments: a chain has to fit on a line
std::string site_text(const analyze::SiteName& name);
double share(std::uint64_t part, std::uint64_t whole);  // 0 of nothing

}  // namespace faultline::report
