// Numbers and field offsets of the kernel's tracepoints, read from tracefs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace faultline::record {

struct Tracepoint {
  std::uint64_t id = 0;                        // perf_event_attr::config; 0: not there
  std::map<std::string, std::size_t> offsets;  // of the fields in the raw sample

  explicit operator bool() const { return id != 0; }
};

// What the recorder uses. raw_syscalls has one event for all calls: far fewer events to inherit at every fork than one per call.
struct KernelTracepoints {
  Tracepoint sys_enter;     // raw_syscalls: id, args
  Tracepoint sys_exit;      // raw_syscalls: id, ret
  Tracepoint fault_user;    // exceptions: address, ip, error_code
  Tracepoint fault_kernel;  // exceptions: the same, for faults taken in kernel mode
  Tracepoint new_task;      // task: clone_flags
};

// Those that can be read. Where tracefs is not mounted and the caller may, it is mounted for a moment in a mount namespace of a
// child's own: the system is left as it was.
KernelTracepoints read_tracepoints();

}  // namespace faultline::record
