// The process of a recording that a command is asked about.
#pragma once

#include <string>

#include "base/result.h"
#include "trace/recording.h"

namespace faultline::cli {

// pid 0: the command's own. An error names the file. Never null.
inline Result<const trace::ProcessInfo*> recorded_process(const trace::Recording& recording, const std::string& file, trace::Pid pid) {
  const trace::ProcessInfo* const process = pid != 0 ? recording.process(pid) : recording.main_process();
  if (process != nullptr) return process;
  return fail(pid != 0 ? make_error("{}: holds no process {}", file, pid) : make_error("{}: wanted a recorded process, found none", file));
}

}  // namespace faultline::cli
