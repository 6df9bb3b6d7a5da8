#include "report/site_text.h"

#include <fmt/format.h>

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

std::string site_text(const analyze::SiteName& name) {
  std::string text = short_name(name.function);
  for (std::size_t i = 0; i < name.depth && i < name.callers.size(); ++i) text += " < " + short_name(name.callers[i]);
  const std::string location = name.location();
  if (!location.empty() && !text.starts_with(location + "+")) text += fmt::format(" ({})", location);
  if (!name.via.empty()) text += fmt::format(" via {}", short_name(name.via));
  return text;
}

double share(std::uint64_t part, std::uint64_t whole) {
  return whole > 0 ? static_cast<double>(part) / static_cast<double>(whole) : 0;
}

}  // namespace faultline::report
