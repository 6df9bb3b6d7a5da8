// A MALLOC_ variable that looks like one of glibc's and is none: MALLOC_MMAP_THRESHOLD without its last '_', MALLOC_ARENA_MAX_ with
// one, a letter too few, or a variable for a tunable that has none. glibc ignores them all. mallopt(3), "Environment variables".
#include <fmt/format.h>

#include <algorithm>

#include "analyze/lints.h"

namespace faultline::analyze {
namespace {

// Names that others read: mtrace(3), libc_malloc_debug, jemalloc, the BSDs.
constexpr std::string_view kOthers[] = {"MALLOC_TRACE", "MALLOC_CHECK_", "MALLOC_CONF", "MALLOC_OPTIONS"};

std::vector<Lint> look(const LintInput& input) {
  std::vector<Lint> found;
  std::vector<std::string> known, without_variable;
  for (const heap::Tunable& tunable : heap::kTunables) {
    if (!tunable.environment.empty()) known.emplace_back(tunable.environment);
    else without_variable.push_back("MALLOC_" + std::string(tunable.name));
  }
  for (const SettingText& setting : input.settings) {
    if (!setting.variable || setting.tunable != nullptr || std::ranges::find(kOthers, setting.name) != std::end(kOthers)) continue;
    Lint lint;
    if (const auto meant = nearest_name(setting.name, known)) {
      lint.title = fmt::format("{}: glibc knows no such variable and ignores it", setting.text());
      lint.next = fmt::format("{}={}", *meant, setting.value);
      const auto tunable = std::ranges::find(heap::kTunables, *meant, &heap::Tunable::environment);
      lint.lines.push_back(fmt::format("its name is {}", *meant));
      lint.instead = with_value(input.tunables, tunable->name, setting.value);
    } else if (const auto tunable_only = nearest_name(setting.name, without_variable)) {
      const std::string name = tunable_only->substr(std::string_view("MALLOC_").size());
      lint.title = fmt::format("{}: glibc knows no such variable and ignores it", setting.text());
      lint.lines.push_back("this setting has no variable of its own");
      lint.next = fmt::format("GLIBC_TUNABLES={}{}={}", heap::kTunablePrefix, name, setting.value);
      lint.instead = with_value(input.tunables, name, setting.value);
    } else {
      continue;
    }
    found.push_back(std::move(lint));
  }
  return found;
}

FL_REGISTER_LINT(wrong_variable, look);

}  // namespace
}  // namespace faultline::analyze
