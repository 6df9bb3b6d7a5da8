// size_up_to: the values of options that are sizes: 64MB, 1.5 is none, neither are -1 and more than there can be.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace faultline::cli {

// Turns text into bytes; units are binary (kb = 1024). most: what is still accepted, called `most_text` when it is not.
inline CLI::Validator size_up_to(std::uint64_t most, const std::string& most_text) {
  const auto parse = [most, most_text](std::string& text) -> std::string {
    const std::string given = text;
    const std::string refusal = fmt::format("wanted a size of at most {}, for example 64MB, found '{}'", most_text, given);
    const std::size_t digits = given.find_first_not_of("0123456789");
    if (digits == 0 || given.empty() || std::min(digits, given.size()) > 19) return refusal;  // 20 digits may be more than 2^64
    if (const std::string error = CLI::AsSizeValue(false)(text); !error.empty()) return refusal;
    return std::stoull(text) > most ? refusal : "";
  };
  return CLI::Validator(parse, "SIZE");
}

}  // namespace faultline::cli
