// Joins the two records the kernel makes of a fault: the page_fault tracepoint when it begins (arch/x86/mm/fault.c) tells the kind
// of access, the software event when it was handled (mm/memory.c: mm_account_fault) that it counts. A fault that ends in a signal
// has only the first, one that is taken again after a signal two of the first: the newest before the second belongs to it.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <vector>

#include "trace/event.h"

namespace faultline::record {

struct RawFault {
  trace::FaultEvent fault;  // time_ns is CLOCK_MONOTONIC_RAW, not yet relative to the recording
  trace::Pid pid;
};

class FaultJoin {
 public:
  // In the order of one processor's ring. A thread may change processors between the two, so that the second is read first.
  void began(trace::Tid tid, std::uint64_t address, std::uint64_t ip, std::uint64_t error_code, std::vector<RawFault>& out);
  void handled(const RawFault& fault, std::vector<RawFault>& out);
  // After all rings were read once: faults that waited for their beginning through a whole round have none.
  void end_of_round(bool last, std::vector<RawFault>& out);

 private:
  struct Beginning {
    std::uint64_t address, ip;
    trace::FaultAccess access;
  };
  struct Waiting {
    RawFault fault;
    bool old;  // waits since an earlier round
  };
  std::unordered_map<trace::Tid, Beginning> begun_;  // the newest of each thread
  std::vector<Waiting> waiting_;
};

}  // namespace faultline::record
