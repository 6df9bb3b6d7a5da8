// An entry of GLIBC_TUNABLES that glibc skips: a name it does not know, or no '='. Other namespaces (glibc.cpu, glibc.rtld) are not
// looked at. elf/dl-tunables.c, parse_tunables.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/lints.h"

namespace faultline::analyze {
namespace {

std::vector<Lint> look(const LintInput& input) {
  std::vector<Lint> found;
  std::vector<std::string> full, bare;
  for (const heap::Tunable& tunable : heap::kTunables) {
    full.push_back(std::string(heap::kTunablePrefix) + std::string(tunable.name));
    bare.emplace_back(tunable.name);
  }
  for (const SettingText& setting : input.settings) {
    if (setting.variable || setting.tunable != nullptr || setting.name == "glibc.malloc.check") continue;
    Lint lint;
    std::string name = setting.name, value = setting.value;
    if (!setting.has_value) {  // "glibc.malloc.top_pad 0", "glibc.malloc.top_pad"
      const std::size_t end = name.find_first_of(" \t");
      if (end != std::string::npos) value = name.substr(name.find_first_not_of(" \t", end));
      name.resize(std::min(end, name.size()));
    }
    auto meant = nearest_name(name, full);
    if (!meant) {
      if (const auto lone = nearest_name(name, bare); lone && *lone == name) meant = std::string(heap::kTunablePrefix) + *lone;
    }
    if (!meant && !setting.name.starts_with(heap::kTunablePrefix)) continue;
    lint.title = setting.has_value ? fmt::format("GLIBC_TUNABLES has {}: glibc knows no tunable of that name and ignores it", setting.text())
                                   : fmt::format("GLIBC_TUNABLES has '{}' without '=': glibc ignores it", setting.name);
    if (meant && !value.empty()) {
      lint.next = fmt::format("{}={}", *meant, value);
      lint.instead = with_value(input.tunables, meant->substr(heap::kTunablePrefix.size()), value);
    } else {
      lint.next = "ld.so --list-tunables prints what there is";
    }
    found.push_back(std::move(lint));
  }
  return found;
}

FL_REGISTER_LINT(unknown_tunable, look);

}  // namespace
}  // namespace faultline::analyze
