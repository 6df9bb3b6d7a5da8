#include "lab/quantity.h"

#include <charconv>

#include "lab/script.h"

namespace faultline::lab {

namespace {

// The number at the front of text; false when there is none or it does not fit. rest: what follows it.
bool leading_number(std::string_view text, std::uint64_t& value, std::string_view& rest) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const char* const begin = text.data() + (hexadecimal ? 2 : 0);
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
  rest = {stop, static_cast<std::size_t>(end - stop)};
  return error == std::errc();
}

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text, std::string_view what) {
  std::uint64_t value = 0;
  std::string_view unit;
  const auto wrong = [&] { return fail(make_error("wanted {} such as 30K, 4M or 4096, found {}", what, quoted(text))); };
  if (!leading_number(text, value, unit)) return wrong();
  unsigned shift = 0;
  if (!unit.empty()) {
    const std::size_t power = std::string_view("KMGT").find(unit[0]);
    if (power == std::string_view::npos || (unit.size() > 1 && unit.substr(1) != "iB")) return wrong();
    shift = 10 * static_cast<unsigned>(power + 1);
  }
  if (shift != 0 && value >> (64 - shift) != 0) return fail(make_error("wanted {} below 2^64, found {}", what, quoted(text)));
  return value << shift;
}

Result<std::uint64_t> parse_limit(std::string_view text) {
  if (text == "unlimited") return ~std::uint64_t{0};
  return parse_size(text, "a size or unlimited,");
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t low, std::uint64_t high, std::string_view what) {
  std::uint64_t value = 0;
  std::string_view rest;
  if (!leading_number(text, value, rest) || !rest.empty() || value < low || value > high) {
    return fail(make_error("wanted {} from {} to {}, found {}", what, low, high, quoted(text)));
  }
  return value;
}

std::string size_text(std::uint64_t bytes) {
  static constexpr std::string_view units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  unsigned unit = 0;
  while (unit < 4 && bytes != 0 && bytes % 1024 == 0) {
    bytes /= 1024;
    ++unit;
  }
  return fmt::format("{} {}", bytes, bytes == 1 && unit == 0 ? "byte" : units[unit]);
}

std::string about_text(std::uint64_t bytes) {
  static constexpr std::string_view units[] = {"KiB", "MiB", "GiB", "TiB"};
  unsigned unit = 0;
  std::uint64_t size = 1024;
  while (unit < 3 && bytes >= size * 1024) {
    size *= 1024;
    ++unit;
  }
  return fmt::format("{}.{} {}", bytes / size, bytes % size * 10 / size, units[unit]);
}

std::string count_text(std::uint64_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

}  // namespace faultline::lab
