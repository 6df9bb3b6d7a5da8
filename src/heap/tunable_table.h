// glibc's own table of malloc tunables, and how ld.so reads a value. Freestanding: no libstdc++ at run time, because malloc
// itself (malloc/) reads its parameters with it.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "heap/parameters.h"

namespace faultline::heap {

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

// One glibc.malloc.* tunable: glibc elf/dl-tunables.list. environment is the older MALLOC_* variable, if it has one.
struct Tunable {
  std::string_view name;
  std::string_view environment;
  std::uint64_t least, most;
  std::optional<std::uint64_t> Tunables::*value;  // nullptr for mmap_max, the only one of another type

  void store(Tunables& tunables, std::uint64_t number) const {
    if (value != nullptr) tunables.*value = number;
    else tunables.mmap_max = static_cast<std::int32_t>(number);
  }
  std::optional<std::uint64_t> load(const Tunables& tunables) const {
    if (value != nullptr) return tunables.*value;
    if (!tunables.mmap_max) return std::nullopt;
    return static_cast<std::uint64_t>(*tunables.mmap_max);
  }
  void reset(Tunables& tunables) const {
    if (value != nullptr) (tunables.*value).reset();
    else tunables.mmap_max.reset();
  }
  bool in_range(std::uint64_t number) const {
    if (value == nullptr) return static_cast<std::int64_t>(number) >= 0 && number <= most;
    return number >= least && number <= most;
  }
};

inline constexpr std::array kTunables{
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

// Beyond these malloc itself ignores the value although the tunable's range allows it.
constexpr std::uint64_t usable_limit(std::string_view name) {
  if (name == "tcache_max") return 1032;
  if (name == "tcache_count") return 65535;
  if (name == "mxfast") return 160;
  return kNoLimit;
}

inline constexpr std::string_view kTunablePrefix = "glibc.malloc.";

// A name as users give it, with the prefix or without.
constexpr std::string_view without_prefix(std::string_view name) {
  if (name.starts_with(kTunablePrefix)) name.remove_prefix(kTunablePrefix.size());
  return name;
}

// ld.so's own number reader: blanks, a sign, 0x or 0 prefixes; stops at the first other character without complaint,
// so that "1G" is 1 and "abc" is 0. Too large reads as the maximum, minus or not.
struct TunableNumber {
  std::uint64_t value;
  std::size_t used;
  bool too_large = false;
};
TunableNumber read_tunable_number(std::string_view text);

// What became of one setting: note(written_as, text, tunable, number, stored).
template <class Note>
void apply_tunable(Tunables& tunables, const Tunable& tunable, std::string_view written_as, std::string_view text, Note& note) {
  const TunableNumber number = read_tunable_number(text);
  const bool stored = tunable.in_range(number.value);
  if (stored) tunable.store(tunables, number.value);
  note(written_as, text, tunable, number, stored);
}

// The value of GLIBC_TUNABLES. Of a name that stands there twice, the last one counts.
template <class Note>
void read_glibc_tunables(Tunables& tunables, std::string_view rest, Note note) {
  while (!rest.empty()) {
    const std::string_view item(rest.data(), std::min(rest.find(':'), rest.size()));
    rest.remove_prefix(std::min(item.size() + 1, rest.size()));
    const std::size_t equals = item.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view written_as(item.data(), equals);
    if (!written_as.starts_with(kTunablePrefix)) continue;
    std::string_view name = written_as, text = item;
    name.remove_prefix(kTunablePrefix.size());
    text.remove_prefix(equals + 1);
    for (const Tunable& tunable : kTunables) {
      if (name == tunable.name) apply_tunable(tunables, tunable, written_as, text, note);
    }
  }
}

// One "NAME=VALUE" of the environment, after GLIBC_TUNABLES: that one wins over the older variables, wherever each stands.
// Among those, the first does.
template <class Note>
void read_malloc_variable(Tunables& tunables, std::string_view variable, Note note) {
  const std::size_t equals = variable.find('=');
  if (equals == 0 || equals == std::string_view::npos) return;
  const std::string_view name(variable.data(), equals);
  std::string_view text = variable;
  text.remove_prefix(equals + 1);
  for (const Tunable& tunable : kTunables) {
    if (name == tunable.environment && !tunable.load(tunables)) apply_tunable(tunables, tunable, name, text, note);
  }
}

}  // namespace faultline::heap
