#include "record/memory_limit.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <string>

namespace faultline::record {
namespace {

constexpr std::uint64_t kNone = std::uint64_t{1} << 60;  // v1 says a number near 2^63 where there is no limit

std::uint64_t limit_in(const std::string& path) {
  std::ifstream file(path);
  std::string text;
  std::uint64_t bytes = 0;
  if (!(file >> text) || std::from_chars(text.data(), text.data() + text.size(), bytes).ec != std::errc()) return kNone;  // "max"
  return std::min(bytes, kNone);
}

// From the group up.
std::uint64_t lowest(const std::string& root, std::string group, const char* name) {
  std::uint64_t limit = kNone;
  for (;;) {
    limit = std::min(limit, limit_in(root + group + "/" + name));
    if (group.empty() || group == "/") return limit;
    group.resize(group.rfind('/'));
  }
}

}  // namespace

std::uint64_t memory_limit_bytes() {
  std::ifstream groups("/proc/self/cgroup");  // "0::/a/b" of v2, "4:memory:/a/b" of v1
  std::uint64_t limit = kNone;
  for (std::string line; std::getline(groups, line);) {
    const std::size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = fmt::format(",{},", line.substr(first + 1, second - first - 1)), group = line.substr(second + 1);
    if (controllers == ",,") limit = std::min(limit, lowest("/sys/fs/cgroup", group, "memory.max"));
    else if (controllers.find(",memory,") != std::string::npos) limit = std::min(limit, lowest("/sys/fs/cgroup/memory", group, "memory.limit_in_bytes"));
  }
  return limit == kNone ? 0 : limit;
}

}  // namespace faultline::record
