#include "heap/tunable_table.h"

namespace faultline::heap {

TunableNumber read_tunable_number(std::string_view text) {
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

}  // namespace faultline::heap
