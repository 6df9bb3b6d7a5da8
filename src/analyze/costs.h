// What faults and memory calls cost in time: counts times the prices the recorder measured on its machine.
#pragma once

#include <string>
#include <vector>

#include "analyze/attribution.h"

namespace faultline::analyze {

struct CostRow {
  std::string what;  // "minor_faults", "brk", ...: stable, for JSON
  std::uint64_t count = 0;
  double each_ns = 0;
  double total_ns = 0;
};

struct Costs {
  std::vector<CostRow> rows;
  double total_ns = 0;
  // Of the whole command, measured with the recorder at work: the yardstick, and a check (a fault's time is system time).
  std::uint64_t wall_ns = 0, user_ns = 0, system_ns = 0;

  double cpu_share(double ns) const { return user_ns + system_ns > 0 ? ns / static_cast<double>(user_ns + system_ns) : 0; }
  double wall_share(double ns) const { return wall_ns > 0 ? ns / static_cast<double>(wall_ns) : 0; }
};

Costs costs_of(const Attribution& attribution, const trace::Meta& meta);

}  // namespace faultline::analyze
