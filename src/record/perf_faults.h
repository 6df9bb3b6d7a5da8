// Every page fault of a process and what it starts: address, instruction, thread, time, minor or major.
// PERF_COUNT_SW_PAGE_FAULTS_MIN and _MAJ with a sample period of 1; kernel/events: mm_account_fault raises them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "record/perf_ring.h"
#include "trace/event.h"

namespace faultline::record {

struct RawFault {
  trace::FaultEvent fault;  // time_ns is CLOCK_MONOTONIC_RAW, not yet relative to the recording
  trace::Pid pid;
};

class PerfFaults {
 public:
  // Attaches to a process that has not called execve yet: counting starts there. On refusal recorded() is false and
  // missing() says why in one line; faults taken in kernel mode may be refused alone.
  static PerfFaults attach(pid_t pid);

  bool recorded() const { return recorded_; }
  bool kernel_mode() const { return kernel_mode_; }
  const std::string& missing() const { return missing_; }
  std::uint64_t lost() const { return lost_; }

  void drain(std::vector<RawFault>& out);

 private:
  bool try_attach(pid_t pid, bool exclude_kernel, int& error);

  std::vector<PerfRing> rings_;
  std::vector<std::uint64_t> major_ids_;
  bool recorded_ = false, kernel_mode_ = false;
  std::string missing_;
  std::uint64_t lost_ = 0;
};

}  // namespace faultline::record
