// Ledger: the resident memory of one process at one moment as a sum that closes, and what is measured beside it.
//
// Bytes are whole pages of the kernel's RSS (VmRSS), divided where several things lie in one page. What is not in RSS stands apart.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analyze/ledger/ledger_parts.h"
#include "analyze/site_names.h"
#include "trace/event.h"

namespace faultline::analyze {

struct LedgerSite {  // live blocks of one site
  SiteName name;
  std::uint64_t blocks = 0;
  std::uint64_t resident_bytes = 0;   // of them in RSS: heap_live and mmapped_live
  std::uint64_t untouched_bytes = 0;  // asked for, and not resident
};

struct LedgerFile {
  std::string path;  // "[anonymous]" for shared memory without a name
  std::uint64_t clean_bytes = 0, dirty_bytes = 0, private_bytes = 0, shared_memory_bytes = 0;
  std::uint64_t bytes() const { return clean_bytes + dirty_bytes + private_bytes + shared_memory_bytes; }
};

// What the recorder saw of the process from outside, at the sample nearest to the moment, and what the twin had then.
struct LedgerMeasurement {
  std::uint64_t time_ns = 0;  // since the process began
  std::uint64_t rss_bytes = 0;
  std::uint64_t twin_bytes = 0;
  std::int64_t residual_bytes() const { return static_cast<std::int64_t>(rss_bytes) - static_cast<std::int64_t>(twin_bytes); }
};

struct Ledger {
  std::string when;           // as asked for: "peak", "end", "1.5", "40%"
  std::uint64_t time_ns = 0;  // since the process began
  bool there = false;         // the process lived then; else all is 0

  std::array<std::uint64_t, kLedgerParts> parts{};
  std::uint64_t sum_bytes() const;  // RSS as the twin has it: what the parts add up to
  std::uint64_t& operator[](LedgerPart part) { return parts[static_cast<std::size_t>(part)]; }
  std::uint64_t operator[](LedgerPart part) const { return parts[static_cast<std::size_t>(part)]; }
  std::optional<LedgerMeasurement> measured;  // and the residual

  // Beside RSS, or parts of it once more.
  std::uint64_t live_untouched_bytes = 0;  // of live blocks: no frame
  std::uint64_t page_tables_bytes = 0;     // VmPTE
  std::uint64_t huge_bytes = 0;            // in RSS: mapped by huge pages
  std::uint64_t fork_shared_bytes = 0;     // in RSS: anonymous, and a forked process has the same frame
  std::uint64_t mapped_bytes = 0;          // VmSize
  std::uint64_t mappings = 0;              // VMAs
  std::uint64_t live_blocks = 0;
  std::vector<LedgerSite> sites;  // most resident first; empty if malloc was not replayed
  std::vector<LedgerFile> files;  // largest first
};

struct LedgerSeries {
  std::string why_not;           // one line: no ledger at all
  std::string only_end_why;      // one line: only the end is known, from what the process told then
  std::string heap_why_not;      // one line: malloc's memory is not divided
  std::uint64_t peak_ns = 0;     // since the process began: when most was resident
  std::uint64_t end_ns = 0;      // the last moment that can be asked for
  std::vector<Ledger> ledgers;   // one each of the moments, in their order
  std::vector<trace::FaultEvent> fork_copies;  // faults, by time: writes to pages that a fork had left to both processes
  std::uint64_t fork_reuses = 0;               // the same, when the other process was gone already
};

}  // namespace faultline::analyze
