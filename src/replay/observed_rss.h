// The recorded process's resident set as it was seen from outside: the kernel's own peak, and the recorder's samples.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "trace/recording.h"

namespace faultline::replay {

// By how many bytes the kernel's VmHWM may be off. It is kept from approximate reads: since Linux 6.2 the resident pages are
// per-CPU counters (percpu_counter, one for anonymous and one for file pages), of which each CPU holds back up to a batch of
// max(32, 2 * CPUs) pages. VmRSS and statm are summed exactly (task_mem and task_statm in fs/proc/task_mmu.c), so the peak of
// a process that is largest at its end is exact too.
std::uint64_t peak_resolution_bytes(int cpus);

// Highest sample between the process's start and its exit report, in bytes, without the recorder's own pages at that moment;
// 0 if there is no sample. recorder_faults: when each of the recorder's pages came in, ns, ascending.
std::uint64_t sampled_peak_bytes(std::span<const trace::RssSample> samples, const trace::ProcessInfo& process,
                                 std::span<const std::uint64_t> recorder_faults);

}  // namespace faultline::replay
