// Sizes and numbers as a lab script writes them, and as the lab prints them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace faultline::lab {

// "4096", "0x1000", "30K", "4M", "1G", "2T": bytes, binary units. Up to 2^64 - 1.
Result<std::uint64_t> parse_size(std::string_view text, std::string_view what = "a size");
// The same, or the word unlimited.
Result<std::uint64_t> parse_limit(std::string_view text);
// A plain decimal or 0x number in [low, high].
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t low, std::uint64_t high, std::string_view what);

// "132 KiB", "4 MiB", "30736 bytes": always exact.
std::string size_text(std::uint64_t bytes);
// "127.9 TiB", "3.5 MiB": cut to a tenth.
std::string about_text(std::uint64_t bytes);
// "3 faults", "1 fault".
std::string count_text(std::uint64_t count, std::string_view noun);

}  // namespace faultline::lab
