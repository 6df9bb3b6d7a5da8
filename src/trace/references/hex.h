// Hexadecimal by hand: traces have a number a line, and their parsing is most of an import.
#pragma once

#include <array>
#include <cstdint>

namespace faultline::trace {

inline constexpr std::array<std::uint8_t, 256> kHexDigits = [] {
  std::array<std::uint8_t, 256> values{};
  values.fill(255);
  for (unsigned i = 0; i < 10; ++i) values['0' + i] = static_cast<std::uint8_t>(i);
  for (unsigned i = 0; i < 6; ++i) values['a' + i] = values['A' + i] = static_cast<std::uint8_t>(10 + i);
  return values;
}();

// Digits from `at` on; returns the first byte that is none, or nullptr when there is no digit or there are more than 64 bits.
inline const char* parse_hex(const char* at, const char* end, std::uint64_t& value) {
  const char* const begin = at;
  value = 0;
  for (; at != end; ++at) {
    const std::uint8_t digit = kHexDigits[static_cast<std::uint8_t>(*at)];
    if (digit > 15) break;
    if (value >> 60 != 0) return nullptr;
    value = value << 4 | digit;
  }
  return at == begin ? nullptr : at;
}

}  // namespace faultline::trace
