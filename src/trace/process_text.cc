#include "trace/process_text.h"

#include <algorithm>
#include <charconv>

namespace faultline::trace {

namespace {

std::uint64_t number(std::string_view text) {
  int base = 10;
  if (text.starts_with("0x")) {
    text.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value, base);  // "1234 kB" gives 1234
  return value;
}

// Calls line(text) for every line; returns what follows a line that is exactly "maps:".
template <typename Line>
std::string_view each_line(std::string_view text, Line&& line) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view one = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (one == "maps:") return text;
    line(one);
  }
  return {};
}

template <typename Pair>
std::string_view each_pair(std::string_view text, Pair&& pair) {
  return each_line(text, [&](std::string_view line) {
    for (const char mark : {'=', ':'}) {  // "key=value", or "VmHWM:  12 kB" as /proc/self/status has it
      const std::size_t at = line.find(mark);
      if (at == std::string_view::npos) continue;
      std::string_view value = line.substr(at + 1);
      if (mark == ':') value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
      return pair(line.substr(0, at), value);
    }
  });
}

void add_range(std::uint64_t start, std::uint64_t end, ProcessInfo& process) {
  if (start >= end) return;
  const std::pair<std::uint64_t, std::uint64_t> range{start, end};
  auto& ranges = process.recorder_ranges;
  if (std::find(ranges.begin(), ranges.end(), range) == ranges.end()) ranges.push_back(range);
}

// "7f00-7f10", with or without 0x.
bool parse_range(std::string_view text, std::uint64_t& start, std::uint64_t& end) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return false;
  auto hex = [](std::string_view digits, std::uint64_t& value) {
    if (digits.starts_with("0x")) digits.remove_prefix(2);
    return std::from_chars(digits.data(), digits.data() + digits.size(), value, 16).ec == std::errc();
  };
  return hex(text.substr(0, dash), start) && hex(text.substr(dash + 1), end);
}

bool range_key(std::string_view key, std::string_view value, ProcessInfo& process) {
  if (key != "recorder_range") return false;
  std::uint64_t start = 0, end = 0;
  if (parse_range(value, start, end)) add_range(start, end, process);
  return true;
}

}  // namespace

void add_ranges_from_maps(std::string_view maps, ProcessInfo& process) {
  each_line(maps, [&](std::string_view line) {
    if (line.find("memfd:faultline") == std::string_view::npos && line.find("libfaultline-shim") == std::string_view::npos) return;
    std::uint64_t start = 0, end = 0;
    if (parse_range(line.substr(0, std::min(line.find(' '), line.size())), start, end)) add_range(start, end, process);
  });
}

std::uint64_t apply_start_text(std::string_view text, ProcessInfo& process) {
  std::uint64_t tick = 0;
  const std::string_view maps = each_pair(text, [&](std::string_view key, std::string_view value) {
    if (range_key(key, value, process)) return;
    if (key == "exe") process.exe = value;
    if (key == "allocator") process.allocator = value;
    if (key == "allocator_build_id") process.allocator_build_id = value;
    if (key == "glibc_version") process.glibc_version = value;
    if (key == "initial_brk") process.initial_brk = number(value);
    if (key == "tunables") process.tunables = value;
    if (key == "env") process.environment.emplace_back(value);
    if (key == "thp_mode") process.thp_mode = value;
    if (key == "cpus_online") process.cpus_online = static_cast<int>(number(value));
    if (key == "tsc") tick = number(value);
  });
  process.start_maps = maps;
  add_ranges_from_maps(maps, process);
  return tick;
}

std::uint64_t apply_exit_text(std::string_view text, ProcessInfo& process) {
  std::uint64_t peak = 0, end = 0, populated = 0, tick = 0;
  const std::string_view maps = each_pair(text, [&](std::string_view key, std::string_view value) {
    if (range_key(key, value, process)) return;
    if (key == "VmHWM") peak = number(value) * 1024;
    if (key == "VmRSS") end = number(value) * 1024;
    if (key == "minflt") process.minor_faults = number(value);
    if (key == "majflt") process.major_faults = number(value);
    if (key == "recorder_rss_bytes") process.recorder_rss_bytes = number(value);
    if (key == "recorder_rss_kb") process.recorder_rss_bytes = number(value) * 1024;
    if (key == "tsc") tick = number(value);
    if (key == "recorder_populate_minflt") populated = number(value);
  });
  process.exit_seen = true;
  process.exit_maps = maps;
  process.recorder_faults = populated;
  process.rss_peak_bytes = peak - std::min(peak, process.recorder_rss_bytes);
  process.rss_end_bytes = end - std::min(end, process.recorder_rss_bytes);
  add_ranges_from_maps(maps, process);
  return tick;
}

bool apply_range_note(std::string_view text, ProcessInfo& process) {
  bool found = false;
  each_pair(text, [&](std::string_view key, std::string_view value) { found |= range_key(key, value, process); });
  return found;
}

}  // namespace faultline::trace
