#include "analyze/ledger/ledger_moment.h"

#include <charconv>
#include <cmath>

namespace faultline::analyze {

std::uint64_t LedgerMoment::ns(std::uint64_t peak_ns, std::uint64_t end_ns) const {
  switch (kind) {
    case Kind::peak: return peak_ns;
    case Kind::end: return end_ns;
    case Kind::time: return time_ns;
    case Kind::share: return static_cast<std::uint64_t>(share * static_cast<double>(end_ns));
  }
  return 0;
}

Result<LedgerMoment> parse_moment(const std::string& text) {
  using Kind = LedgerMoment::Kind;
  LedgerMoment moment;
  moment.text = text;
  if (text == "peak" || text == "end") {
    moment.kind = text == "peak" ? Kind::peak : Kind::end;
    return moment;
  }
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  const std::string unit(at, end);
  const bool good = error == std::errc{} && std::isfinite(number) && number >= 0 && number < 1e9;
  if (good && unit == "%" && number <= 100) {
    moment.kind = Kind::share;
    moment.share = number / 100;
  } else if (good && (unit.empty() || unit == "s" || unit == "ms")) {
    moment.kind = Kind::time;
    moment.time_ns = static_cast<std::uint64_t>(number * (unit == "ms" ? 1e6 : 1e9));
  } else {
    return fail(make_error("wanted a moment (peak, end, seconds as 1.5, 250ms, or 40%), found \"{}\"", text));
  }
  return moment;
}

}  // namespace faultline::analyze
