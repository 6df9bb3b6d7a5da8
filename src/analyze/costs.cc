#include "analyze/costs.h"

#include <algorithm>

#include "base/units.h"

namespace faultline::analyze {

namespace {

constexpr std::uint64_t kMeasurableNs = 10'000'000;  // system time comes in ticks; below this it checks nothing

std::uint64_t program_faults(const Attribution& attribution) {
  std::uint64_t faults = 0;
  for (std::size_t i = 0; i < kRegionCount; ++i) {
    if (static_cast<Region>(i) != Region::recorder) faults += attribution.regions[i].minor_faults;
  }
  return faults;
}

void scale(trace::MachineCosts& prices, double factor) {
  for (double* price : {&prices.minor_fault_ns, &prices.brk_ns, &prices.mmap_ns, &prices.munmap_ns, &prices.munmap_page_ns, &prices.madvise_ns, &prices.mremap_ns}) {
    *price *= factor;
  }
}

}  // namespace

Costs costs_of(const Attribution& attribution, const trace::Meta& meta, trace::MachineCosts& prices) {
  Costs costs;
  costs.wall_ns = meta.wall_ns;
  costs.user_ns = meta.user_ns;
  costs.system_ns = meta.system_ns;
  const std::uint64_t faults = program_faults(attribution);
  const auto count = [&attribution](trace::CallKind kind) { return attribution.calls.count[static_cast<std::size_t>(kind)]; };
  const auto price_kernel = [&] {
    costs.rows.clear();
    costs.total_ns = 0;
    const auto add = [&costs](const char* what, std::uint64_t times, double each_ns) {
      if (times == 0) return;
      const double total = static_cast<double>(times) * each_ns;
      costs.rows.push_back({what, times, each_ns, total});
      costs.total_ns += total;
    };
    add("minor_faults", faults, prices.minor_fault_ns);
    add("brk", count(trace::CallKind::brk), prices.brk_ns);
    add("mmap", count(trace::CallKind::mmap), prices.mmap_ns);
    add("munmap", count(trace::CallKind::munmap), prices.munmap_ns);
    // An unmapped page costs only if it was resident, and every resident page was a fault once.
    add("munmap_pages", std::min(attribution.calls.unmapped_bytes / kPageSize, faults), prices.munmap_page_ns);
    add("mremap", count(trace::CallKind::mremap), prices.mremap_ns);
    add("madvise", count(trace::CallKind::madvise), prices.madvise_ns);
  };
  price_kernel();
  if (const auto measured = static_cast<double>(meta.system_ns); meta.system_ns >= kMeasurableNs && costs.total_ns > measured) {
    costs.price_scale = measured / costs.total_ns;
    scale(prices, costs.price_scale);
    price_kernel();
  }
  if (attribution.allocations > 0) {
    const double total = static_cast<double>(attribution.allocations) * prices.malloc_free_pair_ns;
    costs.rows.push_back({"malloc_and_free", attribution.allocations, prices.malloc_free_pair_ns, total});
    costs.total_ns += total;
  }
  return costs;
}

}  // namespace faultline::analyze
