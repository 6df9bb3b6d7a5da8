#include "report/site_text.h"

namespace faultline::report {

std::string short_name(const std::string& function) {
  std::size_t depth = 0;
  for (std::size_t i = 0; i < function.size(); ++i) {
    if (function[i] == '<') ++depth;
    if (function[i] == '>' && depth > 0) --depth;
    if (function[i] != '(' || depth > 0 || i == 0 || function[i - 1] == ' ') continue;
    if (i >= 8 && function.compare(i - 8, 8, "operator") == 0) continue;  // operator()(...)
    return function.substr(0, i);
  }
  return function;
}

std::string site_text(const analyze::SiteName& name) { return name.line_of_text(short_name); }

double share(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace faultline::report
