// Every memory system call of a process and what it starts, also those inside libc: arguments, result, thread, times.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "trace/event.h"

namespace faultline::record {

struct RawCall {
  trace::MemoryCall call;  // times are CLOCK_MONOTONIC_RAW
  trace::Pid pid;
};

class CallCapture {
 public:
  virtual ~CallCapture() = default;
  // Appends the calls that returned since the last time, by thread in order.
  virtual void drain(std::vector<RawCall>& out) = 0;
  virtual std::uint64_t lost() const = 0;
  // At the end: one line for each thing that was left out on purpose.
  virtual std::vector<std::string> left_out() const = 0;
  // A new process shares its parent's memory (CLONE_VM), where the capture can tell.
  virtual bool shares_memory(trace::Pid) const { return false; }
  // Nothing of the program is held any more; drain() gives the rest.
  virtual void stop() {}
};

}  // namespace faultline::record
