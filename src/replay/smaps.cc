#include "replay/smaps.h"

#include <charconv>

namespace faultline::replay {
namespace {

bool parse_header(std::string_view line, Mapping& mapping) {
  const char* at = line.data();
  const char* end = at + line.size();
  auto low = std::from_chars(at, end, mapping.start, 16);
  if (low.ec != std::errc() || low.ptr == end || *low.ptr != '-') return false;
  auto high = std::from_chars(low.ptr + 1, end, mapping.end, 16);
  if (high.ec != std::errc() || high.ptr == end || *high.ptr != ' ') return false;
  std::string_view rest(high.ptr + 1, static_cast<std::size_t>(end - high.ptr - 1));
  for (int field = 0; field < 4; ++field) {  // permissions, offset, device, inode
    const std::size_t space = rest.find(' ');
    if (field == 0) mapping.permissions = rest.substr(0, space);
    if (space == std::string_view::npos) return true;
    rest.remove_prefix(space + 1);
  }
  const std::size_t name = rest.find_first_not_of(' ');
  if (name != std::string_view::npos) mapping.name = rest.substr(name);
  return true;
}

// Of "Rss:   12 kB"; nothing where there is no number.
std::optional<std::uint64_t> bytes_in(std::string_view line) {
  const std::size_t digits = line.find_first_of("0123456789");
  std::uint64_t kib = 0;
  if (digits == std::string_view::npos || std::from_chars(line.data() + digits, line.data() + line.size(), kib).ec != std::errc()) return std::nullopt;
  return kib * 1024;
}

}  // namespace

std::vector<Mapping> parse_smaps(std::string_view text) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    const std::size_t newline = text.find('\n');
    const std::string_view line = text.substr(0, newline);
    text.remove_prefix(newline == std::string_view::npos ? text.size() : newline + 1);
    Mapping mapping;
    if (const std::string_view key = line.substr(0, line.find(':')); key == "Rss") {
      if (!mappings.empty()) mappings.back().rss_bytes = bytes_in(line);
    } else if (key == "Anonymous" || key == "AnonHugePages" || key == "Shared_Dirty" || key == "Private_Dirty") {
      if (mappings.empty()) continue;
      Mapping& last = mappings.back();
      (key == "Anonymous" ? last.anonymous_bytes : key == "AnonHugePages" ? last.huge_bytes : last.dirty_bytes) += bytes_in(line).value_or(0);
    } else if (parse_header(line, mapping)) {
      mappings.push_back(std::move(mapping));
    }
  }
  return mappings;
}

}  // namespace faultline::replay
