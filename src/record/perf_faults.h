// Every page fault of a process and what it starts: address, instruction, thread, time, minor or major; where tracepoints are
// permitted also whether it was a read, a write or an instruction.
// PERF_COUNT_SW_PAGE_FAULTS_MIN and _MAJ with a sample period of 1; kernel/events: mm_account_fault raises them.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "record/fault_join.h"
#include "record/perf_ring.h"
#include "record/tracepoint.h"

namespace faultline::record {

class PerfFaults {
 public:
  // Attaches to a process that has not called execve yet: counting starts there. On refusal recorded() is false and
  // missing() says why in one line; faults taken in kernel mode may be refused alone.
  // tracepoints: null when the kind of access is not wanted.
  static PerfFaults attach(pid_t pid, const KernelTracepoints* tracepoints);

  bool recorded() const { return recorded_; }
  bool kernel_mode() const { return kernel_mode_; }
  bool access_known() const { return access_known_; }
  const std::string& missing() const { return missing_; }
  std::uint64_t lost() const { return lost_; }

  // last: nothing more will come.
  void drain(std::vector<RawFault>& out, bool last);

 private:
  struct Ring {
    PerfRing ring;
    std::uint64_t major_id = 0, began_ids[2] = {};
  };
  bool try_attach(pid_t pid, bool exclude_kernel, int& error);
  bool attach_access(pid_t pid, const KernelTracepoints& tracepoints);
  void take(const Ring& ring, const std::uint8_t* body, std::size_t size, std::vector<RawFault>& out);

  std::vector<Ring> rings_;
  FaultJoin join_;
  std::size_t address_at_ = 0, ip_at_ = 0, error_at_ = 0;  // in a raw sample
  bool recorded_ = false, kernel_mode_ = false, access_known_ = false;
  std::string missing_;
  std::uint64_t lost_ = 0;
};

}  // namespace faultline::record
