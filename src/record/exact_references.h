// record --references exact: the command under Valgrind's lackey, every touch of it as a reference stream (trace/references).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace faultline::record {

struct ReferenceOptions {
  std::string output;  // empty: faultline.COMMAND.PID.refs in the current directory
  std::vector<std::string> command;
  std::uint32_t window = 0;  // trace::RepeatFilter; 0: its default
};

struct ReferenceRecordSummary {
  std::string path;
  int wait_status = 0;  // of the command, as wait(2)
  std::uint64_t file_bytes = 0, touches = 0, calls = 0, dropped = 0;
  std::size_t processes = 0;
  std::vector<std::string> remarks;  // what the stream lacks, a line each
  std::string failure;               // the file stopped growing: why; empty if it is whole
};

// An error means that the command did not run.
Result<ReferenceRecordSummary> record_references(const ReferenceOptions& options);

}  // namespace faultline::record
