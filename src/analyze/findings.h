// Findings: what is worth changing, in plain words with numbers. One file each in findings/, registered at its end.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/registry.h"
#include "replay/prediction.h"

namespace faultline::analyze {

struct Analysis;

// Below both of these nothing is reported: a healthy program has no findings.
inline constexpr double kWorthNs = 1e6;          // 1 ms, and
inline constexpr double kWorthCpuShare = 0.01;   // 1 % of the command's CPU time
inline constexpr std::uint64_t kWorthBytes = 1024 * 1024;

// What the change brings, less than before is positive. RSS is that at its peak or at the end, whichever the change is about.
struct Gain {
  std::int64_t minor_faults = 0;
  std::int64_t rss_peak_bytes = 0, rss_end_bytes = 0;
  std::int64_t mapped_bytes = 0, page_tables_bytes = 0;  // beside RSS
  std::int64_t allocations = 0;
  std::string env{};  // what to put before the command, if a setting does it
};

struct Finding {
  std::string id;                  // the descriptor's name
  std::string title;               // one line with the number that matters
  std::vector<std::string> lines;  // evidence: who, how often, what it costs
  double cost_ns = 0;              // time it costs, 0 if it is about memory
  std::uint64_t bytes = 0;         // memory it holds, 0 if it is about time
  std::string next;                // what to do now
  std::optional<Gain> predicted;   // what doing it brings, where the twin can say
};

double score(const Analysis& analysis, const Finding& finding);  // of 1: the greater of its share of CPU time and of peak RSS

struct FindingDescriptor {
  const char* name;
  std::optional<Finding> (*look)(const Analysis& analysis);
  bool only_alone = false;  // looked for when nothing else was found
  std::vector<std::string> explains = {};  // findings that are its consequences: it stands before them
};

bool worth_time(const Analysis& analysis, double ns);

// What a setting ("trim_threshold=4294967296") brings, said by the twin; nothing where malloc was not replayed.
std::optional<Gain> gain_by(const Analysis& analysis, const std::vector<std::string>& settings);
Gain gain_between(const replay::Prediction& before, const replay::Prediction& after);
std::string gain_text(const Gain& gain);  // "the twin with ENV: 12 minor faults fewer, peak RSS 3 MiB lower, ..."

// Every registered finding that applies: by score().
std::vector<Finding> look_for_findings(const Analysis& analysis);

}  // namespace faultline::analyze

// At the end of findings/NAME.cc, inside its anonymous namespace.
#define FL_REGISTER_FINDING(name, ...) \
  const ::faultline::Registration<::faultline::analyze::FindingDescriptor> fl_finding_##name({#name, __VA_ARGS__})
