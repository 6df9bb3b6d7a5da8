// Search: which joint setting of malloc would help this program, by replaying it under each candidate. Never one knob at
// a time: a lone threshold freezes glibc's adaptation of the other one and can make a healthy program far slower.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "analyze/error_bar.h"
#include "analyze/lints.h"
#include "analyze/search_pool.h"
#include "analyze/setting.h"
#include "analyze/what_if.h"
#include "replay/verify.h"

namespace faultline::analyze {

// What is to become smaller. Whatever is asked for, all three are predicted and the front is of all three.
enum class Objective : std::uint8_t {
  any,        // time if there is some to save, else peak RSS, else RSS at exit
  time,       // cost_ns: faults, calls, released pages
  peak_rss,
  end_rss,
};

// As they are written: any, time, peak-rss, end-rss.
std::map<std::string, Objective> objective_names();
std::string name_of(Objective objective);

struct SearchOptions {
  Objective objective = Objective::any;
  std::size_t settings = 0;           // distinct joint settings to answer; 0: as many as have something to tell
  double seconds = 60;                // from `started` on, verify included; a replay that would end later is given up
  Clock::time_point started = Clock::now();
  double allowed_peak_growth = 0.10;  // of peak RSS; beyond it (and kAllowedBytes) a candidate is listed but not recommended
  static constexpr std::uint64_t kAllowedBytes = 1 << 20;  // of a small program ten per cent are nothing
  double allowed_cost = 0.02;         // of wall time, that less memory may cost
  unsigned workers = 2;               // replays side by side, one machine each
  std::string file;                   // the recording, for "next" commands
  bool force = false;                 // search although the twin does not reproduce the recording
  std::function<void(std::size_t answered, std::size_t replays)> progress;
};

struct Candidate {
  Setting setting;                     // what differs from the recorded run
  WhatIf what_if;                      // all of it, recorded settings included
  replay::Prediction predicted;
  ErrorBar error;
  double saved_ns = 0;                 // against the baseline prediction; negative: costs more
  bool replayed = true;                // false: within the box of one that was
  bool on_front = false;               // no other candidate is better in time, peak RSS and end RSS together
  bool near_best = false;              // within its error bar, as good as the best for the objective
  bool raises_peak = false;            // by more than allowed_peak_growth and kAllowedBytes
};

struct ReplayedLint {
  Lint lint;
  std::optional<replay::Prediction> instead;  // the run with the settings as they were probably meant
};

struct Advice {
  replay::Verification verification;   // its prediction is the baseline
  std::vector<ReplayedLint> lints;     // of the settings the program has
  std::vector<Candidate> candidates;   // best first
  std::optional<std::size_t> recommended;
  Objective gain = Objective::time;    // what the recommended one makes smaller
  std::string reason;                  // why this one, or why none
  std::size_t replays = 0;             // of candidates
  std::size_t too_costly = 0;          // given up: would cost the program more than a quarter of its run
  bool out_of_time = false;            // there was more to try
  double needed_ns = 0;                // a saving below this is not advice: max(2 % of wall time, error bar)
  const replay::Prediction& baseline() const { return verification.prediction; }
};

Advice search(const replay::Program& program, const SearchOptions& options);

}  // namespace faultline::analyze
