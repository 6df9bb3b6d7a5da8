// One process at one moment: counters, mappings and what they are. What cannot be had is said, not guessed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "live/layout.h"
#include "live/process_stat.h"
#include "live/process_status.h"

namespace faultline::live {

struct ProcessView {
  ProcessStat stat;
  std::optional<ProcessStatus> status;  // none: a kernel thread or a zombie
  std::string command;                  // its words with blanks between; [name] where it has none
  std::string executable;               // empty if not permitted
  std::vector<Thread> threads;
  std::vector<Place> places;            // empty without memory
  bool threads_seen = false;            // stack pointers could be looked for
};

// Fails with one line if there is no such process, or its mappings may not be looked at.
Result<ProcessView> view_process(const Proc& proc, Pid pid);

// Counters alone: of any process of any user. None if it is gone.
Result<std::optional<ProcessStat>> stat_of(const Proc& proc, Pid pid);

// Its mappings, with a line that says why not.
Result<std::vector<Mapping>> mappings_of(const Proc& proc, Pid pid);

std::string command_of(const Proc& proc, const ProcessStat& stat);

}  // namespace faultline::live
