#include "analyze/error_bar.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr double kUnknown = 0.05;           // where verify had nothing to compare with
// Measured, docs/measurements/whatif.md: where no unseen page is in play, 95 of 100 predictions are this near. What the libraries' pages
// do to resident memory hangs on where they lie, not on its size.
constexpr double kFaults = 0.01, kRss = 0.01, kRssBytes = 128 * 1024;
// Measured, docs/measurements/whatif-threads.md. Which thread gets which arena; and blocks that other threads free, where the runs
// themselves lie up to half apart.
constexpr double kArenas = 0.35, kShared = 0.4;
constexpr double kHugePages = 0.15;         // where blocks lie within 2 MiB decides what a fault brings

double as_double(std::uint64_t value) { return static_cast<double>(value); }
double apart(std::uint64_t x, std::uint64_t y) { return std::abs(as_double(x) - as_double(y)); }

}  // namespace

ErrorBar error_bar(const replay::Verification& verification, const WhatIf& what_if, const replay::Prediction& p, const trace::MachineCosts& costs) {
  double of_setting = 0;  // of malloc's own part
  of_setting += std::max(what_if.arena_estimate ? kArenas : 0, kShared * what_if.shared_blocks);
  const replay::Prediction::Spread& places = p.of_placement;
  if (what_if.huge_pages && places.minor_faults == 0) of_setting += kHugePages;  // of one place only
  const double faults = std::max(verification.fault_error().value_or(kUnknown), kFaults), rss = verification.rss_error().value_or(kUnknown);
  const double end = verification.rss_compared && verification.rss_end.observed != 0 ? verification.rss_end.error() : rss;
  ErrorBar error;
  error.minor_faults = faults * as_double(p.minor_faults()) + p.unseen_error + of_setting * as_double(p.malloc_minor()) + places.minor_faults;
  error.cost_ns = (faults + of_setting) * p.cost_ns + p.unseen_error * costs.minor_fault_ns + places.cost_ns;
  // Unseen pages as part of what is resident: as many as come, at most in the proportion in which they fault.
  const double unseen_share = p.malloc_minor() == 0 ? 0 : std::min(1.0, p.unseen_error / as_double(p.malloc_minor()));
  const auto resident = [&](double verified, std::uint64_t bytes) {
    return std::max(verified, kRss) * as_double(bytes) + kRssBytes + std::min(p.unseen_error * kPageSize, unseen_share * as_double(bytes)) + of_setting * as_double(bytes);
  };
  error.rss_peak_bytes = resident(rss, p.rss_peak_bytes) + places.rss_peak_bytes;
  error.rss_end_bytes = resident(end, p.rss_end_bytes) + places.rss_end_bytes;
  if (what_if.may_do_nothing) {
    const replay::Prediction& nothing = verification.prediction;
    error.minor_faults = std::max(error.minor_faults, apart(p.minor_faults(), nothing.minor_faults()));
    error.cost_ns = std::max(error.cost_ns, std::abs(p.cost_ns - nothing.cost_ns));
    error.rss_peak_bytes = std::max(error.rss_peak_bytes, apart(p.rss_peak_bytes, nothing.rss_peak_bytes));
    error.rss_end_bytes = std::max(error.rss_end_bytes, apart(p.rss_end_bytes, nothing.rss_end_bytes));
  }
  return error;
}

}  // namespace faultline::analyze
