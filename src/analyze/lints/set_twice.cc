// The same setting twice with different values. GLIBC_TUNABLES wins over the MALLOC_ variable wherever they stand; within
// GLIBC_TUNABLES the last entry wins. elf/dl-tunables.c, __tunables_init.
#include <fmt/format.h>

#include "analyze/lints.h"

namespace faultline::analyze {
namespace {

std::vector<Lint> look(const LintInput& input) {
  std::vector<Lint> found;
  for (const heap::Tunable& tunable : heap::kTunables) {
    const SettingText* counts = nullptr;
    std::vector<const SettingText*> ignored;
    for (const SettingText& setting : input.settings) {
      if (setting.tunable != &tunable || !tunable.in_range(heap::read_tunable_number(setting.value).value)) continue;
      if (counts == nullptr) counts = &setting;
      else if (!setting.variable) ignored.push_back(std::exchange(counts, &setting));
      else ignored.push_back(&setting);
    }
    for (const SettingText* other : ignored) {
      if (heap::read_tunable_number(other->value).value == heap::read_tunable_number(counts->value).value) continue;
      Lint lint;
      lint.title = fmt::format("{} is set twice: {} counts, {} does not", tunable.name, counts->text(), other->text());
      lint.lines.push_back(other->variable ? "GLIBC_TUNABLES wins over the older variables" : "of a name that stands twice in GLIBC_TUNABLES the last one counts");
      lint.next = "remove one of them";
      found.push_back(std::move(lint));
    }
  }
  return found;
}

FL_REGISTER_LINT(set_twice, look);

}  // namespace
}  // namespace faultline::analyze
