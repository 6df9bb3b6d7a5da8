#include "analyze/what_if.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "heap/settings.h"
#include "heap/tunable_table.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

Result<std::uint64_t> whole_number(std::string_view name, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > 1'000'000'000'000) {
    return fail(make_error("{}: wanted a whole number from 1, found '{}'", name, text));
  }
  return value;
}

// An entry of GLIBC_TUNABLES goes by not being there. A variable of its own has to be unset, and so has GLIBC_TUNABLES if nothing is left in it.
std::vector<std::string> to_unset(const replay::Program& program, const heap::Tunables& recorded, const heap::Tunables& wanted) {
  std::vector<std::string> names;
  bool gone = false;
  for (const heap::Tunable& tunable : heap::kTunables) {
    if (!tunable.load(recorded) || tunable.load(wanted)) continue;
    gone = true;
    const std::string written = std::string(tunable.environment) + "=";
    const bool variable = !tunable.environment.empty() && std::any_of(program.environment.begin(), program.environment.end(), [&](const std::string& text) { return text.starts_with(written); });
    if (variable) names.emplace_back(tunable.environment);
  }
  if (gone && wanted.to_glibc_tunables().empty() && !program.tunables.empty()) names.emplace_back("GLIBC_TUNABLES");
  return names;
}

// glibc's malloc-hugepages.c, __malloc_thp_mode: what was read is compared as a text, and nothing ends it. With 2.36 the break was
// advised to get huge pages in 2 of 6 runs of one program.
bool reads_thp_mode_by_luck(const heap::Version& version) { return version.name.starts_with("2.35") || version.name.starts_with("2.36"); }

}  // namespace

std::string WhatIf::environment() const {
  const std::string tunables = parameters.tunables.to_glibc_tunables();
  std::string words = unset.empty() ? "" : "env";
  for (const std::string& name : unset) words += " -u " + name;
  if (!tunables.empty()) words += (words.empty() ? "GLIBC_TUNABLES=" : " GLIBC_TUNABLES=") + tunables;
  return words;
}

std::string WhatIf::code() const {
  const std::string without = without_mallopt ? "the program's calls of mallopt (<malloc.h>): take them out, no variable does it" : "";
  if (!trim.any()) return without;
  std::string when;
  if (trim.every_ns != 0) when = trim.every_ns % 1'000'000'000 == 0 ? fmt::format("every {} s", trim.every_ns / 1'000'000'000) : fmt::format("every {} ms", trim.every_ns / 1'000'000);
  if (trim.every_frees != 0) when += fmt::format("{}after every {} frees", when.empty() ? "" : ", and ", trim.every_frees);
  return fmt::format("malloc_trim(0);  /* <malloc.h>, {}: a line to add to the program, no variable does it */{}{}", when, without.empty() ? "" : "\n", without);
}

Result<WhatIf> what_if(const replay::Program& program, const std::vector<std::string>& settings) {
  WhatIf result{.parameters = replay::recorded_parameters(program), .trim = {}, .without_mallopt = false, .unset = {}, .arena_estimate = false, .shared_blocks = 0, .huge_pages = false, .may_do_nothing = false, .unpriced = {}, .assumptions = {}};
  const heap::Parameters as_recorded = result.parameters;
  const heap::Tunables& recorded = as_recorded.tunables;
  std::set<std::string_view> given;
  for (const std::string& setting : settings) {
    const std::size_t equals = setting.find('=');
    const std::string_view name = std::string_view(setting).substr(0, equals);
    if (const std::string_view bare = heap::without_prefix(name); !given.insert(bare).second) return fail(make_error("{}: wanted one value, found two", bare));
    if (equals != std::string::npos && (name == kTrimEveryMs || name == kTrimEveryFrees)) {
      FL_TRY(const std::uint64_t value, whole_number(name, std::string_view(setting).substr(equals + 1)));
      if (name == kTrimEveryMs) result.trim.every_ns = value * 1'000'000;
      else result.trim.every_frees = value;
      continue;
    }
    if (setting == std::string(kMallopt) + "=default") {
      result.without_mallopt = true;
      continue;
    }
    if (auto set = result.parameters.tunables.set(setting); !set) {
      const std::string& why = set.error().message();
      return fail(make_error("{}{}", why, why.find("known are") != std::string::npos ? fmt::format(", {}, {}, {}=default", kTrimEveryMs, kTrimEveryFrees, kMallopt) : ""));
    }
  }
  const heap::Tunables& tunables = result.parameters.tunables;
  result.unset = to_unset(program, recorded, tunables);
  result.arena_estimate = program.threads.size() > 1 && (tunables.arena_max != recorded.arena_max || tunables.arena_test != recorded.arena_test);
  const heap::Settings before(as_recorded), after(result.parameters);
  if (after.tcache_count < before.tcache_count || after.tcache_bins < before.tcache_bins || after.max_fast < before.max_fast) {
    result.unpriced.push_back("smaller caches: more of the calls of malloc and free take the long way through an arena, and its lock; that time is not in the prediction");
  }
  if (program.threads.size() > 1 && after.arena_max != 0 && (before.arena_max == 0 || after.arena_max < before.arena_max)) {
    result.unpriced.push_back("threads share arenas: waiting for each other's locks is not in the prediction");
  }
  result.shared_blocks = program.freed_by_others;
  result.huge_pages = after.huge_page != 0;
  if (after.huge_page != 0 && before.huge_page == 0) {
    result.unpriced.push_back("a fault that brings a huge page clears 2 MiB, and is priced like one that brings 4 KiB");
  }
  if (tunables.hugetlb != recorded.hugetlb) {
    if (auto absent = heap::not_modelled(result.parameters)) result.assumptions.push_back(std::move(*absent));
    result.may_do_nothing = tunables.hugetlb == 1 && reads_thp_mode_by_luck(result.parameters.version);
    if (result.may_do_nothing) {
      result.assumptions.push_back("glibc.malloc.hugetlb=1: this glibc compares what it read of transparent_hugepage/enabled without ending the text, so that in some runs the setting does nothing; the error bar covers that");
    }
    if (tunables.hugetlb == 1 && program.thp_madvise_bytes == 0) {
      result.assumptions.push_back("glibc.malloc.hugetlb=1: does nothing where transparent_hugepage/enabled is not madvise, as when this was recorded");
    }
  }
  return result;
}

}  // namespace faultline::analyze
