// LedgerMoment: which moment of a process's life a ledger is of, as people write it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace faultline::analyze {

struct LedgerMoment {
  enum class Kind : std::uint8_t { peak, end, time, share };
  Kind kind = Kind::end;
  std::string text;           // as written
  std::uint64_t time_ns = 0;  // time: since the process began
  double share = 0;           // share: of its life, 0 to 1
  // Since the process began.
  std::uint64_t ns(std::uint64_t peak_ns, std::uint64_t end_ns) const;
};

// "peak" (most was resident), "end", seconds ("1.5", "1.5s"), milliseconds ("250ms"), or a share of the process's life ("40%").
Result<LedgerMoment> parse_moment(const std::string& text);

}  // namespace faultline::analyze
