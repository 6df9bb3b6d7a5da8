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
  // Below 1: at the recorder's prices the kernel's part would be more than the system time really used (the machine was
  // busier while it was measured), so every kernel price is scaled down to it. What is left is an upper bound.
  double price_scale = 1;
  // Of the whole command, measured with the recorder at work: the yardstick, and a check (a fault's time is system time).
  std::uint64_t wall_ns = 0, user_ns = 0, system_ns = 0;

  double cpu_share(double ns) const { return user_ns + system_ns > 0 ? ns / static_cast<double>(user_ns + system_ns) : 0; }
  double wall_share(double ns) const { return wall_ns > 0 ? ns / static_cast<double>(wall_ns) : 0; }
};

// prices: in, the recorder's; out, as used.
Costs costs_of(const Attribution& attribution, const trace::Meta& meta, trace::MachineCosts& prices);

}  // namespace faultline::analyze
