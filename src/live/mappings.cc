#include "live/mappings.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "live/kib_line.h"

namespace faultline::live {
namespace {

std::string_view take_word(std::string_view& line) {
  const std::size_t begin = std::min(line.find_first_not_of(' '), line.size());
  line.remove_prefix(begin);
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

bool number(std::string_view text, int base, std::uint64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

// `start-end perms offset dev inode   path`; in the path the kernel writes a newline as \012.
bool parse_head(std::string_view line, Mapping& mapping) {
  const std::string_view range = take_word(line);
  const std::size_t dash = range.find('-');
  if (dash == range.npos || !number(range.substr(0, dash), 16, mapping.start) || !number(range.substr(dash + 1), 16, mapping.end)) return false;
  const std::string_view permissions = take_word(line);
  if (permissions.size() != 4 || mapping.end <= mapping.start) return false;
  std::memcpy(mapping.permissions, permissions.data(), 4);
  if (!number(take_word(line), 16, mapping.offset)) return false;
  take_word(line);  // device
  if (!number(take_word(line), 10, mapping.inode)) return false;
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  mapping.path = line;
  return true;
}

void take_figure(std::string_view line, Mapping& mapping) {
  const auto add = [line](std::string_view name, std::uint64_t& sum) {
    if (const auto bytes = kib_of(line, name)) sum += *bytes;
  };
  switch (line[0]) {
    case 'R': add("Rss", mapping.rss_bytes); break;
    case 'P':
      add("Pss", mapping.pss_bytes);
      add("Private_Dirty", mapping.dirty_bytes);
      break;
    case 'S':
      add("Shared_Clean", mapping.shared_bytes);
      add("Shared_Dirty", mapping.shared_bytes);
      add("Shared_Dirty", mapping.dirty_bytes);
      add("Swap", mapping.swapped_bytes);
      break;
    case 'A':
      add("Anonymous", mapping.anonymous_bytes);
      add("AnonHugePages", mapping.huge_bytes);
      break;
    case 'F': add("FilePmdMapped", mapping.huge_bytes); break;
    case 'L': add("Locked", mapping.locked_bytes); break;
    default: break;
  }
}

}  // namespace

std::vector<Mapping> parse_smaps(std::string_view text) {
  std::vector<Mapping> mappings;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.empty()) continue;
    const bool head = (line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f');
    if (head) {
      Mapping mapping;
      if (parse_head(line, mapping)) mappings.push_back(std::move(mapping));
    } else if (!mappings.empty()) {
      take_figure(line, mappings.back());
    }
  }
  return mappings;
}

}  // namespace faultline::live
