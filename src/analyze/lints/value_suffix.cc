// A value that glibc does not read to its end: "1G" is 1, "1,glibc..." loses the rest, "" is 0. ld.so reads with
// _dl_strtoul, which stops at the first character that is no digit, and says nothing. elf/dl-tunables.c, tunable_initialize.
#include <fmt/format.h>

#include "analyze/format.h"
#include "analyze/lints.h"

namespace faultline::analyze {
namespace {

std::uint64_t unit_of(std::string_view suffix) {
  if (suffix.empty() || suffix.size() > 3) return 0;
  if (suffix.size() == 2 && suffix[1] != 'b' && suffix[1] != 'B') return 0;
  if (suffix.size() == 3 && (suffix.substr(1) != "iB" && suffix.substr(1) != "ib")) return 0;
  switch (suffix[0]) {
    case 'k': case 'K': return std::uint64_t{1} << 10;
    case 'm': case 'M': return std::uint64_t{1} << 20;
    case 'g': case 'G': return std::uint64_t{1} << 30;
    default: return 0;
  }
}

std::vector<Lint> look(const LintInput& input) {
  std::vector<Lint> found;
  for (const SettingText& setting : input.settings) {
    if (setting.tunable == nullptr) continue;
    const heap::TunableNumber number = heap::read_tunable_number(setting.value);
    if (number.used == setting.value.size() && !setting.value.empty()) continue;
    const std::string rest = setting.value.substr(number.used);
    Lint lint;
    lint.title = setting.value.empty() ? fmt::format("{}: the value is empty, glibc reads 0", setting.text())
                                       : fmt::format("{}: glibc reads {} and ignores '{}' without a word", setting.text(), number.value, rest);
    const std::uint64_t unit = unit_of(rest);
    std::uint64_t meant = 0;
    if (unit != 0 && !__builtin_mul_overflow(number.value, unit, &meant)) {
      lint.lines.push_back("sizes are plain bytes: glibc knows no K, M or G");
      lint.next = fmt::format("{}={}", setting.name, meant);
      lint.instead = with_value(input.tunables, setting.tunable->name, std::to_string(meant));
    } else if (rest.find("glibc.") != std::string::npos) {
      lint.lines.push_back("what follows is lost: entries of GLIBC_TUNABLES are separated by ':'");
      lint.next = "write ':' between the entries";
    }
    const bool threshold = setting.tunable->name == "mmap_threshold" || setting.tunable->name == "trim_threshold" || setting.tunable->name == "top_pad" || setting.tunable->name == "mmap_max";
    if (threshold) lint.lines.push_back("and having set it, malloc adapts none of its thresholds any more (mallopt(3))");
    found.push_back(std::move(lint));
  }
  return found;
}

FL_REGISTER_LINT(value_suffix, look);

}  // namespace
}  // namespace faultline::analyze
