// Records one command from its execve to its end.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "trace/event.h"

namespace faultline::record {

struct RecordOptions {
  enum class Calls {
    automatic,  // tracepoints where permitted, else wrapped
    exact,      // tracepoints where permitted, else ptrace
    ptrace,     // even where tracepoints are permitted
    wrapped,    // by the shim: those that go through dynamic symbols
    none,
  };

  std::string output;  // empty: faultline.COMMAND.PID.fl in the current directory
  std::vector<std::string> command;
  std::string tool_version;
  bool stacks = true;
  bool faults = true;
  bool fault_access = true;      // whether a fault was a read, a write or an instruction, where permitted
  Calls calls = Calls::automatic;
  std::function<void(const std::string&)> notice;  // what to know before the command runs, a line each
  bool turns = false;            // one thread at a time in the allocator
  bool allocator_glibc = false;  // forward to libc's malloc even if the program links another one
};

struct RecordSummary {
  std::string path;
  int wait_status = 0;         // of the command, as wait(2)
  std::uint64_t file_bytes = 0;
  std::uint64_t heap_events = 0, faults = 0, calls = 0;  // of all processes
  std::size_t processes = 0;
  trace::Meta meta;
  std::string failure;         // the file stopped growing: why; empty if it is whole
};

// An error means that the command did not run.
Result<RecordSummary> record(const RecordOptions& options);

// The shared library that enters the program: FAULTLINE_SHIM, beside this executable, or where the build put it.
Result<std::string> find_shim();

}  // namespace faultline::record
