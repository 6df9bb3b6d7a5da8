// A value out of the tunable's range, which ld.so ignores, or beyond what malloc makes use of, which malloc ignores.
// elf/dl-tunables.list; malloc/malloc.c, do_set_tcache_max and its neighbours.
#include <fmt/format.h>

#include "analyze/lints.h"

namespace faultline::analyze {
namespace {

std::vector<Lint> look(const LintInput& input) {
  std::vector<Lint> found;
  for (const SettingText& setting : input.settings) {
    if (setting.tunable == nullptr) continue;
    const heap::TunableNumber number = heap::read_tunable_number(setting.value);
    const std::uint64_t limit = heap::usable_limit(setting.tunable->name);
    Lint lint;
    if (!setting.tunable->in_range(number.value)) {
      const bool lower = number.value < setting.tunable->least || setting.tunable->value == nullptr;
      lint.title = fmt::format("{}: out of range, glibc ignores it", setting.text());
      lint.lines.push_back(lower && setting.tunable->value != nullptr ? fmt::format("the least is {}", setting.tunable->least)
                                                                      : fmt::format("{} to {} is accepted", setting.tunable->least, setting.tunable->most));
      if (setting.tunable->name == "arena_max" || setting.tunable->name == "arena_test") lint.next = "leave it out, or give a number from 1";
    } else if (number.value > limit) {
      lint.title = fmt::format("{}: malloc ignores more than {} here and keeps its default", setting.text(), limit);
      lint.next = fmt::format("{}={}", setting.name, limit);
      lint.instead = with_value(input.tunables, setting.tunable->name, std::to_string(limit));
    } else {
      continue;
    }
    found.push_back(std::move(lint));
  }
  return found;
}

FL_REGISTER_LINT(value_range, look);

}  // namespace
}  // namespace faultline::analyze
