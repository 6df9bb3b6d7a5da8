// Search: which joint setting of malloc would help this program, by replaying it under each candidate. Never one knob at
// a time: a lone threshold freezes glibc's adaptation of the other one and can make a healthy program far slower.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "heap/parameters.h"
#include "replay/prediction.h"
#include "replay/verify.h"

namespace faultline::analyze {

struct SearchOptions {
  double seconds = 60;            // stop starting new replays after this long
  double allowed_peak_growth = 0.10;  // of peak RSS; beyond it a candidate is listed but not recommended
  unsigned workers = 2;           // replays side by side, one machine each
  bool force = false;             // search although the twin does not reproduce the recording
  std::function<void(std::size_t done, std::size_t planned)> progress;
};

enum class Gain : std::uint8_t { time, memory };

struct Candidate {
  std::vector<std::string> settings;   // "mmap_threshold=1048576", what differs from the recorded run
  heap::Tunables tunables;             // all of it, recorded settings included
  replay::Prediction predicted;
  double saved_ns = 0;                 // against the baseline prediction; negative: costs more
  bool on_front = false;               // no other candidate is better in time, peak RSS and end RSS together
  bool raises_peak = false;            // by more than allowed_peak_growth
};

struct Advice {
  replay::Verification verification;   // its prediction is the baseline
  std::vector<Candidate> candidates;   // best first
  std::optional<std::size_t> recommended;
  Gain gain = Gain::time;
  std::string reason;                  // why this one, or why none
  std::size_t replays = 0;
  double needed_ns = 0;                // a saving below this is not advice: max(2 % of wall time, error bar)
  const replay::Prediction& baseline() const { return verification.prediction; }
};

Advice search(const replay::Program& program, const SearchOptions& options);

// "mmap_threshold=1M" style assignments on top of what the recorded run had. The error lists what is known.
Result<heap::Parameters> with_settings(const replay::Program& program, const std::vector<std::string>& settings);

}  // namespace faultline::analyze
