// Lints: what is odd about the malloc settings a program already has: in its environment, and by mallopt. One file each in
// lints/, registered at its end. A program without settings has none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/registry.h"
#include "heap/parameters.h"
#include "heap/tunable_table.h"

namespace faultline::replay {
struct Program;
}

namespace faultline::analyze {

// One setting as it was written.
struct SettingText {
  std::string name, value;
  bool variable = false;   // a variable of its own (MALLOC_...), else an entry of GLIBC_TUNABLES
  bool has_value = true;   // there was a '='
  const heap::Tunable* tunable = nullptr;  // nullptr: glibc knows no such name
  std::string text() const { return has_value ? name + "=" + value : name; }
};

struct MalloptCall {  // that malloc accepted
  int parameter = 0;
  std::int64_t value = 0;
  std::uint64_t times = 0;
  bool operator==(const MalloptCall&) const = default;
};

void add_call(std::vector<MalloptCall>& calls, const MalloptCall& call);

struct LintInput {
  std::vector<SettingText> settings;   // GLIBC_TUNABLES first, in the order they stand
  std::vector<MalloptCall> mallopts;   // in the order they came first
  heap::Tunables tunables;             // as glibc understood them at the start
  std::size_t threads = 1;
  bool thp_by_madvise = false;         // /sys/kernel/mm/transparent_hugepage/enabled says madvise
  std::string file;                    // the recording, for "next" commands

  const MalloptCall* mallopt(int parameter) const;  // the last one, or nullptr
  // What malloc was told in the end: by mallopt, else by the tunable; nullopt: nothing.
  template <class Number>
  std::optional<std::uint64_t> value(int parameter, std::optional<Number> heap::Tunables::*tunable) const {
    if (const MalloptCall* call = mallopt(parameter)) return static_cast<std::uint64_t>(call->value);
    return tunables.*tunable;
  }
};

LintInput lint_input(std::string_view glibc_tunables, const std::vector<std::string>& environment);
LintInput lint_input(const replay::Program& program, const std::string& file);

struct Lint {
  std::string id;                  // the descriptor's name
  std::string title;
  std::vector<std::string> lines;
  std::string next;
  // The settings as they were probably meant, for a replay to say what the difference is.
  std::optional<heap::Tunables> instead;
};

struct LintDescriptor {
  const char* name;
  std::vector<Lint> (*look)(const LintInput& input);
};

std::vector<Lint> look_for_lints(const LintInput& input);

// The known name nearest to a misspelt one, if it is near at all: letter case, a missing or superfluous '_' at the end and one
// or two letters do not count.
std::optional<std::string> nearest_name(std::string_view written, const std::vector<std::string>& known);

// The tunables with one setting written otherwise.
heap::Tunables with_value(heap::Tunables tunables, std::string_view tunable, std::string_view value);

}  // namespace faultline::analyze

// At the end of lints/NAME.cc, inside its anonymous namespace.
#define FL_REGISTER_LINT(name, ...) \
  const ::faultline::Registration<::faultline::analyze::LintDescriptor> fl_lint_##name({#name, __VA_ARGS__})
