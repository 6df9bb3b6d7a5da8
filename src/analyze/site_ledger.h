// What each allocating call stack did to the heap: one row per trace::StackId, filled in one pass over the events.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "trace/event.h"

namespace faultline::analyze {

inline constexpr std::size_t kCallKinds = trace::kMallocCallKinds;

struct SiteCounters {
  std::uint64_t last_change = 0;  // ledger bookkeeping: serial of the last change of live_bytes. First: hot with the next ones
  std::uint64_t calls = 0, allocated_bytes = 0;  // requested bytes; a realloc is a call of its own site
  std::uint64_t frees = 0, temporary = 0;        // temporary: freed by the very next heap call of the same thread
  std::uint64_t lifetime_ns = 0;                 // sum over freed blocks
  std::uint64_t live_bytes = 0, live_blocks = 0;
  std::uint64_t own_peak_bytes = 0;              // the site's own maximum, whenever it was
  std::uint64_t at_peak_bytes = 0, at_peak_blocks = 0;  // live when the whole heap was at its peak
  std::uint64_t mmapped_calls = 0, mmapped_bytes = 0, mmapped_frees = 0;

  std::uint64_t minor_faults = 0, major_faults = 0;
  std::uint64_t allocator_faults = 0;            // of those: taken inside malloc, calloc, realloc or free
  std::uint64_t mmapped_faults = 0;              // of those: in malloc blocks with a mapping of their own
  std::uint64_t distinct_pages = 0;              // faults beyond this number hit a page again

  // Memory calls glibc made while serving this site: index trace::CallKind. The break's moves by direction too.
  std::array<std::uint64_t, kCallKinds> memory_calls{};
  std::uint64_t brk_grown_bytes = 0, brk_shrunk_bytes = 0, brk_shrinks = 0;
  std::uint64_t unmapped_bytes = 0, advised_bytes = 0;
};

class SiteLedger {
 public:
  SiteCounters& at(trace::StackId site) {
    if (site >= sites_.size()) sites_.resize(site + std::size_t{1} + site / 2);
    return sites_[site];
  }
  void allocated(trace::StackId site, std::uint64_t bytes);
  void freed(trace::StackId site, std::uint64_t bytes);
  void end_of_event(std::uint64_t time_ns);  // the peak is looked for between events, never inside a realloc
  void finish();                             // brings every site's at_peak up to date

  std::uint64_t live_bytes() const { return live_bytes_; }
  std::uint64_t live_blocks() const { return live_blocks_; }
  std::uint64_t peak_bytes() const { return peak_bytes_; }
  std::uint64_t peak_blocks() const { return peak_blocks_; }
  std::uint64_t peak_ns() const { return peak_ns_; }
  const std::vector<SiteCounters>& sites() const { return sites_; }

 private:
  std::vector<SiteCounters> sites_;
  std::uint64_t live_bytes_ = 0, live_blocks_ = 0;
  std::uint64_t peak_bytes_ = 0, peak_blocks_ = 0, peak_ns_ = 0;
  std::uint64_t serial_ = 1, peak_serial_ = 0;

  // A site unchanged since the peak was as large then as it is now; so it is enough to look just before each change.
  void before_change(SiteCounters& site) {
    if (peak_serial_ >= site.last_change) {
      site.at_peak_bytes = site.live_bytes;
      site.at_peak_blocks = site.live_blocks;
    }
    site.last_change = serial_;
  }
};

}  // namespace faultline::analyze
