// The part of /proc/PID/maps and /proc/PID/smaps that replay needs (proc_pid_smaps(5)).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace faultline::replay {

struct Mapping {
  std::uint64_t start = 0, end = 0;
  std::string permissions;  // "rw-p"
  std::string name;         // path, "[heap]", or empty
  std::optional<std::uint64_t> rss_bytes;  // absent in plain maps
  std::uint64_t anonymous_bytes = 0, dirty_bytes = 0, huge_bytes = 0;  // of those: Anonymous, Shared_Dirty and Private_Dirty, AnonHugePages
};

// Lines that are neither a mapping nor a known field are skipped.
std::vector<Mapping> parse_smaps(std::string_view text);

}  // namespace faultline::replay
