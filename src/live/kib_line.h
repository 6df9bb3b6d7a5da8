// Lines of /proc as `Name:      1234 kB`.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace faultline::live {

// The text's first line, cut off it; without its end.
inline std::string_view take_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  return line;
}

// The value of a line, in bytes; none if it has another name.
inline std::optional<std::uint64_t> kib_of(std::string_view line, std::string_view name) {
  if (line.size() <= name.size() || line[name.size()] != ':' || line.substr(0, name.size()) != name) return std::nullopt;
  std::uint64_t value = 0;
  bool digits = false;
  for (const char c : line.substr(name.size() + 1)) {
    if (c >= '0' && c <= '9') {
      value = value * 10 + static_cast<std::uint64_t>(c - '0');
      digits = true;
    } else if (digits) {
      break;
    }
  }
  if (!digits) return std::nullopt;
  return value * 1024;
}

}  // namespace faultline::live
