// A recording file, its main process loaded as a Program: what verify, whatif, advise and confirm start from.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "replay/program.h"
#include "trace/recording.h"

namespace faultline::replay {

struct Session {
  std::unique_ptr<trace::Recording> recording;
  const trace::ProcessInfo* process = nullptr;
  Program program;
  std::vector<std::string> remarks;  // one line each: what was lost, cut or is not modelled
};

// pid 0: the recording's main process. progress gets the number of events read so far.
Result<Session> open_session(const std::string& path, trace::Pid pid = 0, const std::function<void(std::uint64_t done)>& progress = {});

}  // namespace faultline::replay
