#include "heap/parameters.h"

#include <fmt/ranges.h>

#include "heap/settings.h"
#include "heap/tunable_table.h"

namespace faultline::heap {
namespace {

void warn(std::vector<std::string>* warnings, std::string text) {
  if (warnings != nullptr) warnings->push_back(std::move(text));
}

}  // namespace

Tunables Tunables::from_environment(std::string_view glibc_tunables, const std::vector<std::string>& malloc_variables,
                                    std::vector<std::string>* warnings) {
  Tunables result;
  // Says what glibc did that the user may not have meant.
  const auto note = [warnings](std::string_view name, std::string_view text, const Tunable& tunable, const TunableNumber& number,
                               bool stored) {
    if (number.used != text.size() || text.empty()) {
      warn(warnings, fmt::format("{}={}: glibc reads this as {} (no suffixes)", name, text, number.value));
    }
    const std::uint64_t limit = usable_limit(tunable.name);
    if (!stored) warn(warnings, fmt::format("{}={}: out of range, glibc ignores it", name, text));
    else if (number.value > limit) warn(warnings, fmt::format("{}={}: malloc ignores more than {}", name, text, limit));
  };
  read_glibc_tunables(result, glibc_tunables, note);
  for (const std::string& variable : malloc_variables) read_malloc_variable(result, variable, note);
  return result;
}

Result<void> Tunables::set(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return fail(make_error("{}: wanted NAME=VALUE, found no '='", assignment));
  }
  const std::string_view name = without_prefix(assignment.substr(0, equals));
  const std::string_view text = assignment.substr(equals + 1);
  for (const Tunable& tunable : kTunables) {
    if (name != tunable.name) continue;
    if (text == "default") {
      tunable.reset(*this);
      return {};
    }
    TunableNumber number = read_tunable_number(text);
    std::uint64_t unit = 1;
    if (number.used + 1 == text.size() && number.used > 0) {
      switch (text.back()) {
        case 'k': case 'K': unit = std::uint64_t{1} << 10; break;
        case 'm': case 'M': unit = std::uint64_t{1} << 20; break;
        case 'g': case 'G': unit = std::uint64_t{1} << 30; break;
        default: unit = 0;
      }
      ++number.used;
    }
    const bool starts_well = !text.empty() && (text[0] == '-' || (text[0] >= '0' && text[0] <= '9'));
    if (!starts_well || unit == 0 || number.used != text.size() || (text[0] == '-' && text != "-1")) {
      return fail(make_error("{}: wanted a number, with K, M or G if it is a size (-1: no limit), or default, found '{}'", name, text));
    }
    std::uint64_t value = 0;
    const bool overflow = __builtin_mul_overflow(number.value, unit, &value);
    if (overflow || number.too_large || value < tunable.least || value > tunable.most) {
      return fail(make_error("{}: wanted {} to {}, found {}", name, tunable.least, tunable.most, text));
    }
    if (const auto limit = usable_limit(name); value > limit) {
      return fail(make_error("{}: glibc ignores more than {}, found {}", name, limit, text));
    }
    tunable.store(*this, value);
    return {};
  }
  std::vector<std::string_view> known;
  for (const Tunable& tunable : kTunables) known.emplace_back(tunable.name);
  return fail(make_error("{}: unknown setting; known are {}", name, fmt::join(known, ", ")));
}

std::string Tunables::to_glibc_tunables() const {
  std::string text;
  for (const Tunable& tunable : kTunables) {
    if (const auto value = tunable.load(*this)) {
      text += fmt::format("{}{}{}={}", text.empty() ? "" : ":", kTunablePrefix, tunable.name, *value);
    }
  }
  return text;
}

std::optional<std::string> not_modelled(const Parameters& parameters) {
  if (Settings(parameters).explicit_huge_page != 0) {
    return "glibc.malloc.hugetlb=" + std::to_string(*parameters.tunables.hugetlb) +
           ": predicted for a machine without reserved huge pages, where every MAP_HUGETLB fails and plain pages follow";
  }
  return std::nullopt;
}

}  // namespace faultline::heap
