// Statement: one line of a lab script as words. The language has no nesting: NAME = VERB WORD..., VERB WORD..., and
// `repeat N` in front of either, which puts 1, 2, ... N in the place of every % in the line.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace faultline::lab {

inline constexpr std::size_t kLongestLine = 1000;       // bytes
inline constexpr std::uint64_t kMostRepetitions = 10'000;

struct Statement {
  std::uint64_t repeat = 1;
  std::string name;                // what the result is to be called; empty: nothing
  std::string verb;
  std::vector<std::string> words;  // what follows the verb
  bool operator==(const Statement&) const = default;

  Statement iteration(std::uint64_t number) const;  // with every % replaced
};

// Nothing for a blank line or a comment. "quotes" keep blanks and # in a word.
Result<std::optional<Statement>> parse_line(std::string_view line);

// Letters, digits, _ and %, not a digit first; not one of the words that stand for a place (break, stack ...).
bool is_name(std::string_view word);

// For messages: 'text', shortened, with unprintable bytes shown as ?.
std::string quoted(std::string_view text);

}  // namespace faultline::lab
