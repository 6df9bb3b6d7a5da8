// LimitStudy: what a reference stream costs under memory limits: the twin with Linux' page replacement at each limit, the plain misses
// of other policies beside it, the knee, and the smallest limit that slows the program by no more than was asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "replay/limits/limited_replay.h"
#include "trace/references/reference.h"

namespace faultline::analyze {

struct LimitQuestion {
  replay::LimitSettings settings;             // the limit in it is not used
  std::vector<std::uint64_t> limits_bytes;    // to look at; empty: tenths of what the program holds at most
  std::vector<std::string> policies;          // yardsticks besides settings.policy; "none" for none; empty: a choice of them
  double slowdown = 0.10;                     // of the safe limit: time at most (1 + slowdown) of what it is without a limit
};

struct LimitRow {
  std::uint64_t limit_bytes = 0;
  replay::LimitOutcome outcome;
  double slowdown = 0;  // (time - time without a limit) / time without a limit
};

// Misses of a policy that replaces single pages, without read-ahead, batches or swap: what its order of pages is worth.
struct PolicyMisses {
  std::string name;
  bool yardstick = false;             // sees what no kernel can see
  std::vector<std::uint64_t> misses;  // one a row, those of first references included
  std::vector<double> regret;         // the same, (misses - misses of opt) / misses of opt; empty where opt was not asked for
};

struct LimitStudy {
  replay::LimitOutcome unlimited;
  std::uint64_t peak_bytes = 0;       // held at once without a limit
  std::uint64_t references = 0;       // repeats left out of the stream included
  std::vector<LimitRow> rows;         // by falling limit
  std::vector<PolicyMisses> policies;
  double sampled_rate = 1;            // of the pages, for `policies`
  std::optional<std::uint64_t> knee_bytes;
  std::optional<std::uint64_t> safe_bytes;      // the smallest safe limit found
  std::uint64_t safe_step_bytes = 0;            // it is exact to so much
  std::optional<std::uint64_t> killed_below_bytes;  // the largest limit looked at that Linux could not hold
  std::vector<std::string> assumptions;
};

// progress is called with a share of the work from 0 to 1.
Result<LimitStudy> study_limits(trace::ReferenceSource& source, const LimitQuestion& question, const std::function<void(double)>& progress = {});

}  // namespace faultline::analyze
