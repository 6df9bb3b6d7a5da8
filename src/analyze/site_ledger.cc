#include "analyze/site_ledger.h"

#include <algorithm>

namespace faultline::analyze {

void SiteLedger::allocated(trace::StackId site, std::uint64_t bytes) {
  SiteCounters& row = at(site);
  before_change(row);
  ++row.calls;
  row.allocated_bytes += bytes;
  row.live_bytes += bytes;
  ++row.live_blocks;
  row.own_peak_bytes = std::max(row.own_peak_bytes, row.live_bytes);
  live_bytes_ += bytes;
  ++live_blocks_;
}

void SiteLedger::freed(trace::StackId site, std::uint64_t bytes) {
  SiteCounters& row = at(site);
  before_change(row);
  ++row.frees;
  row.live_bytes -= bytes;
  --row.live_blocks;
  live_bytes_ -= bytes;
  --live_blocks_;
}

void SiteLedger::end_of_event(std::uint64_t time_ns) {
  if (live_bytes_ > peak_bytes_) {
    peak_bytes_ = live_bytes_;
    peak_blocks_ = live_blocks_;
    peak_ns_ = time_ns;
    peak_serial_ = serial_;
  }
  ++serial_;
}

void SiteLedger::finish() {
  for (SiteCounters& site : sites_) before_change(site);
}

}  // namespace faultline::analyze
