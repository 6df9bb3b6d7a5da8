#include "heap/parameters.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <limits>

namespace faultline::heap {
namespace {

constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// One glibc.malloc.* tunable: glibc elf/dl-tunables.list. environment is the older MALLOC_* variable, if it has one.
struct Tunable {
  const char* name;
  const char* environment;
  std::uint64_t least, most;
  std::optional<std::uint64_t> Tunables::*value;  // nullptr for mmap_max, the only one of another type
};

constexpr std::array kTunables{
    Tunable{"mmap_threshold", "MALLOC_MMAP_THRESHOLD_", 0, kNoLimit, &Tunables::mmap_threshold},
    Tunable{"trim_threshold", "MALLOC_TRIM_THRESHOLD_", 0, kNoLimit, &Tunables::trim_threshold},
    Tunable{"top_pad", "MALLOC_TOP_PAD_", 0, kNoLimit, &Tunables::top_pad},
    Tunable{"mmap_max", "MALLOC_MMAP_MAX_", 0, std::numeric_limits<std::int32_t>::max(), nullptr},
    Tunable{"tcache_count", "", 0, kNoLimit, &Tunables::tcache_count},
    Tunable{"tcache_max", "", 0, kNoLimit, &Tunables::tcache_max},
    Tunable{"tcache_unsorted_limit", "", 0, kNoLimit, &Tunables::tcache_unsorted_limit},
    Tunable{"mxfast", "", 0, kNoLimit, &Tunables::mxfast},
    Tunable{"arena_max", "MALLOC_ARENA_MAX", 1, kNoLimit, &Tunables::arena_max},
    Tunable{"arena_test", "MALLOC_ARENA_TEST", 1, kNoLimit, &Tunables::arena_test},
    Tunable{"perturb", "MALLOC_PERTURB_", 0, 255, &Tunables::perturb},
    Tunable{"hugetlb", "", 0, kNoLimit, &Tunables::hugetlb},
};

constexpr std::string_view kPrefix = "glibc.malloc.";

void store(Tunables& tunables, const Tunable& tunable, std::uint64_t value) {
  if (tunable.value != nullptr) tunables.*tunable.value = value;
  else tunables.mmap_max = static_cast<std::int32_t>(value);
}

std::optional<std::uint64_t> load(const Tunables& tunables, const Tunable& tunable) {
  if (tunable.value != nullptr) return tunables.*tunable.value;
  if (!tunables.mmap_max) return std::nullopt;
  return static_cast<std::uint64_t>(*tunables.mmap_max);
}

// ld.so's own number reader: blanks, a sign, 0x or 0 prefixes; stops at the first other character without complaint,
// so that "1G" is 1 and "abc" is 0. Too large reads as the maximum, minus or not.
struct Number {
  std::uint64_t value;
  std::size_t used;
  bool too_large = false;
};

Number read_number(std::string_view text) {
  std::size_t at = 0;
  bool negative = false;
  while (at < text.size() && (text[at] == ' ' || text[at] == '\t')) ++at;
  if (at < text.size() && (text[at] == '-' || text[at] == '+')) negative = text[at++] == '-';
  const auto digit_at = [&](std::size_t i, unsigned base) -> std::optional<unsigned> {
    if (i >= text.size()) return std::nullopt;
    const char c = text[i];
    unsigned d = 99;
    if (c >= '0' && c <= '9') d = static_cast<unsigned>(c - '0');
    else if (c >= 'a' && c <= 'f') d = static_cast<unsigned>(c - 'a') + 10;
    else if (c >= 'A' && c <= 'F') d = static_cast<unsigned>(c - 'A') + 10;
    return d < base ? std::optional(d) : std::nullopt;
  };
  if (!digit_at(at, 10)) return {0, at};
  unsigned base = 10;
  if (text[at] == '0') {
    base = 8;
    if (at + 1 < text.size() && (text[at + 1] == 'x' || text[at + 1] == 'X')) {
      base = 16;
      at += 2;
    }
  }
  std::uint64_t value = 0;
  for (auto d = digit_at(at, base); d; d = digit_at(++at, base)) {
    if (value > (kNoLimit - *d) / base) return {kNoLimit, text.size(), true};
    value = value * base + *d;
  }
  return {negative ? 0 - value : value, at};
}

// Beyond these malloc itself ignores the value although the tunable's range allows it.
std::uint64_t usable_limit(std::string_view name) {
  if (name == "tcache_max") return 1032;
  if (name == "tcache_count") return 65535;
  if (name == "mxfast") return 160;
  return kNoLimit;
}

void warn(std::vector<std::string>* warnings, std::string text) {
  if (warnings != nullptr) warnings->push_back(std::move(text));
}

// Stores one setting as glibc would, and says what it did that the user may not have meant.
void apply(Tunables& tunables, const Tunable& tunable, std::string_view written_as, std::string_view text,
           std::vector<std::string>* warnings) {
  const Number number = read_number(text);
  if (number.used != text.size() || text.empty()) {
    warn(warnings, fmt::format("{}={}: glibc reads this as {} (no suffixes)", written_as, text, number.value));
  }
  const bool out_of_range = tunable.value == nullptr
                                ? static_cast<std::int64_t>(number.value) < 0 || number.value > tunable.most
                                : number.value < tunable.least || number.value > tunable.most;
  if (out_of_range) {
    warn(warnings, fmt::format("{}={}: out of range, glibc ignores it", written_as, text));
    return;
  }
  if (number.value > usable_limit(tunable.name)) {
    warn(warnings, fmt::format("{}={}: malloc ignores more than {}", written_as, text, usable_limit(tunable.name)));
  }
  store(tunables, tunable, number.value);
}

}  // namespace

Tunables Tunables::from_environment(std::string_view glibc_tunables, const std::vector<std::string>& malloc_variables,
                                    std::vector<std::string>* warnings) {
  Tunables result;
  for (std::string_view rest = glibc_tunables; !rest.empty();) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    const std::string_view item = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = item.substr(0, equals);
    for (const Tunable& tunable : kTunables) {
      if (name.starts_with(kPrefix) && name.substr(kPrefix.size()) == tunable.name) {
        apply(result, tunable, name, item.substr(equals + 1), warnings);
      }
    }
  }
  // GLIBC_TUNABLES wins over the older variables, wherever each stands in the environment; among those the first does.
  for (const std::string& variable : malloc_variables) {
    const std::size_t equals = std::min(variable.find('='), variable.size());
    const std::string_view name = std::string_view(variable).substr(0, equals);
    for (const Tunable& tunable : kTunables) {
      if (name.empty() || name != tunable.environment || equals == variable.size() || load(result, tunable)) continue;
      apply(result, tunable, name, std::string_view(variable).substr(equals + 1), warnings);
    }
  }
  return result;
}

Result<void> Tunables::set(std::string_view assignment) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    return fail(make_error("{}: wanted NAME=VALUE, found no '='", assignment));
  }
  std::string_view name = assignment.substr(0, equals);
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  const std::string_view text = assignment.substr(equals + 1);
  for (const Tunable& tunable : kTunables) {
    if (name != tunable.name) continue;
    Number number = read_number(text);
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
      return fail(make_error("{}: wanted a number, with K, M or G if it is a size (-1: no limit), found '{}'", name, text));
    }
    std::uint64_t value = 0;
    const bool overflow = __builtin_mul_overflow(number.value, unit, &value);
    if (overflow || number.too_large || value < tunable.least || value > tunable.most) {
      return fail(make_error("{}: wanted {} to {}, found {}", name, tunable.least, tunable.most, text));
    }
    if (const auto limit = usable_limit(name); value > limit) {
      return fail(make_error("{}: glibc ignores more than {}, found {}", name, limit, text));
    }
    store(*this, tunable, value);
    return {};
  }
  std::vector<std::string_view> known;
  for (const Tunable& tunable : kTunables) known.emplace_back(tunable.name);
  return fail(make_error("{}: unknown setting; known are {}", name, fmt::join(known, ", ")));
}

std::string Tunables::to_glibc_tunables() const {
  std::string text;
  for (const Tunable& tunable : kTunables) {
    if (const auto value = load(*this, tunable)) {
      text += fmt::format("{}{}{}={}", text.empty() ? "" : ":", kPrefix, tunable.name, *value);
    }
  }
  return text;
}

}  // namespace faultline::heap
