// Settings for finding errors, left on: perturb fills every block, twice; MALLOC_CHECK_ looks over each free. mallopt(3): M_PERTURB,
// M_CHECK_ACTION; NEWS of glibc 2.34 for where the latter went.
#include <fmt/format.h>

#include "analyze/lints.h"

namespace faultline::analyze {
namespace {

std::vector<Lint> look(const LintInput& input) {
  std::vector<Lint> found;
  if (input.tunables.perturb.value_or(0) != 0) {
    Lint lint;
    lint.title = fmt::format("perturb={}: malloc fills each block when it gives it out and again when it is freed", *input.tunables.perturb);
    lint.lines.push_back("every page of every block is touched, whether the program uses it or not; a setting for finding errors");
    lint.next = "take it away, in GLIBC_TUNABLES or MALLOC_PERTURB_";
    lint.instead = input.tunables;
    lint.instead->perturb = std::nullopt;
    found.push_back(std::move(lint));
  }
  for (const SettingText& setting : input.settings) {
    if (setting.name != (setting.variable ? "MALLOC_CHECK_" : "glibc.malloc.check") || setting.value.empty() || setting.value == "0") continue;
    Lint lint;
    lint.title = fmt::format("{}: from glibc 2.34 on it does nothing unless libc_malloc_debug.so is preloaded; before, it looked over each block", setting.text());
    lint.next = "take it away, or preload libc_malloc_debug.so.0 to find errors";
    found.push_back(std::move(lint));
  }
  return found;
}

FL_REGISTER_LINT(debug_setting, look);

}  // namespace
}  // namespace faultline::analyze
