// Findings: what is worth changing, in plain words with numbers. One file each in findings/, registered at its end.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/registry.h"

namespace faultline::analyze {

struct Analysis;

// Below both of these nothing is reported: a healthy program has no findings.
inline constexpr double kWorthNs = 1e6;          // 1 ms, and
inline constexpr double kWorthCpuShare = 0.01;   // 1 % of the command's CPU time
inline constexpr std::uint64_t kWorthBytes = 1024 * 1024;

struct Finding {
  std::string id;                  // the descriptor's name
  std::string title;               // one line with the number that matters
  std::vector<std::string> lines;  // evidence: who, how often, what it costs
  double cost_ns = 0;              // time it costs, 0 if it is about memory
  std::uint64_t bytes = 0;         // memory it holds, 0 if it is about time
  std::string next;                // what to do now
};

struct FindingDescriptor {
  const char* name;
  std::optional<Finding> (*look)(const Analysis& analysis);
  bool only_alone = false;  // looked for when nothing else was found
};

bool worth_time(const Analysis& analysis, double ns);

// Every registered finding that applies: the costliest first, then the largest.
std::vector<Finding> look_for_findings(const Analysis& analysis);

}  // namespace faultline::analyze

// At the end of findings/NAME.cc, inside its anonymous namespace.
#define FL_REGISTER_FINDING(name, ...) \
  const ::faultline::Registration<::faultline::analyze::FindingDescriptor> fl_finding_##name({#name, __VA_ARGS__})
