// When children had a copy of the process's memory: from fork to execve or exit.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "replay/program.h"
#include "trace/system_event.h"

namespace faultline::replay {

class ChildLives {
 public:
  ChildLives() = default;
  // Of the children process `pid` forked from from_ns on; those that share its memory (vfork, posix_spawn) have no copy.
  ChildLives(std::span<const trace::TaskEvent> tasks, trace::Pid pid, std::uint64_t from_ns);

  // Puts what happened until then before the program's next event.
  void advance(std::uint64_t until_ns, Program& program);

 private:
  struct Change {
    std::uint64_t time_ns = 0;
    std::size_t child = 0;  // in Program::children
    bool born = false;
  };
  std::vector<Change> changes_;  // by time
  std::size_t next_ = 0;
};

}  // namespace faultline::replay
