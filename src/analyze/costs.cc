#include "analyze/costs.h"

#include <algorithm>

#include "base/units.h"

namespace faultline::analyze {

Costs costs_of(const Attribution& attribution, const trace::Meta& meta) {
  Costs costs;
  costs.wall_ns = meta.wall_ns;
  costs.user_ns = meta.user_ns;
  costs.system_ns = meta.system_ns;
  const auto add = [&costs](const char* what, std::uint64_t count, double each_ns) {
    if (count == 0) return;
    const double total = static_cast<double>(count) * each_ns;
    costs.rows.push_back({what, count, each_ns, total});
    costs.total_ns += total;
  };
  std::uint64_t faults = 0;
  for (std::size_t i = 0; i < kRegionCount; ++i) {
    if (static_cast<Region>(i) != Region::recorder) faults += attribution.regions[i].minor_faults;
  }
  const trace::MachineCosts& price = meta.costs;
  const auto calls = [&attribution](trace::CallKind kind) { return attribution.calls.count[static_cast<std::size_t>(kind)]; };
  add("minor_faults", faults, price.minor_fault_ns);
  add("brk", calls(trace::CallKind::brk), price.brk_ns);
  add("mmap", calls(trace::CallKind::mmap), price.mmap_ns);
  add("munmap", calls(trace::CallKind::munmap), price.munmap_ns);
  // An unmapped page costs only if it was resident, and every resident page was a fault once.
  add("munmap_pages", std::min(attribution.calls.unmapped_bytes / kPageSize, faults), price.munmap_page_ns);
  add("mremap", calls(trace::CallKind::mremap), price.mremap_ns);
  add("madvise", calls(trace::CallKind::madvise), price.madvise_ns);
  add("malloc_and_free", attribution.allocations, price.malloc_free_pair_ns);
  return costs;
}

}  // namespace faultline::analyze
