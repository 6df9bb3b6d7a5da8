// Every program of this machine, stopped before its first instruction: the twin's address space, start of the stack and
// faults so far against /proc.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <set>

#include "program_start.h"

namespace faultline::diff {
namespace {

StartRequest request_for(const std::string& path, std::size_t number) {
  StartRequest request;
  request.path = path;
  request.argv = {path, "--faultline", std::string(number * 37 % 500, 'a')};
  request.envp = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8", "EMPTY="};
  // From a few bytes to several pages of strings, so that tables end anywhere in a page.
  for (std::size_t i = 0; i < number % 40; ++i) request.envp.push_back(fmt::format("V{}={}", i, std::string(i * 13, 'x')));
  request.grow_break = 135168;  // as malloc begins
  return request;
}

std::string compare(const StartRequest& request) {
  const ProgramStart kernel = start_on_kernel(request);
  return difference(kernel, start_in_twin(request, random_bytes(kernel)));
}

bool has_file_capabilities(const std::string& path) {
  return ::getxattr(path.c_str(), "security.capability", nullptr, 0) > 0;
}

TEST(ElfLayout, EveryProgramOfThisMachine) {
  if (const std::string reason = why_no_kernel(); !reason.empty()) GTEST_SKIP() << "SKIPPED: " << reason;
  std::set<std::filesystem::path> seen;
  std::size_t equal = 0, scripts = 0, set_id = 0;
  std::vector<std::string> others, misses;
  for (const char* folder : {"/usr/bin", "/usr/sbin"}) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
      const std::filesystem::path path = std::filesystem::canonical(entry.path(), ignored);
      if (ignored || !std::filesystem::is_regular_file(path) || !seen.insert(path).second) continue;
      if (::access(path.c_str(), X_OK | R_OK) != 0) {
        others.push_back(path.string() + ": not readable and executable");
        continue;
      }
      StartRequest request = request_for(path, seen.size());
      struct stat mode{};
      ::stat(path.c_str(), &mode);
      request.ignore_set_id = (mode.st_mode & (S_ISUID | S_ISGID)) != 0 || has_file_capabilities(path);
      set_id += request.ignore_set_id;
      char start[20] = {};
      std::ifstream(path).read(start, sizeof start);
      if (std::string_view(start, 4) == "\177ELF" && start[18] == 3 && start[19] == 0) {
        others.push_back(path.string() + ": 32-bit programs are not modelled");
        continue;
      }
      scripts += start[0] == '#' && start[1] == '!';
      if (const std::string text = compare(request); !text.empty()) {
        misses.push_back(fmt::format("{}: {}", path.string(), text));
      } else {
        ++equal;
      }
    }
  }
  std::printf("%zu programs: %zu equal, %zu of them scripts, %zu with their set-id bits ignored, %zu not run\n", seen.size(), equal,
              scripts, set_id, others.size());
  for (const std::string& text : others) std::printf("  %s\n", text.c_str());
  for (std::size_t i = 0; i < std::min<std::size_t>(misses.size(), 10); ++i) ADD_FAILURE() << misses[i];
  EXPECT_EQ(misses.size(), 0u);
  EXPECT_GT(equal, 50u);
}

}  // namespace
}  // namespace faultline::diff
