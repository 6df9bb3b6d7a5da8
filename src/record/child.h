// The command's own process: forked, held back until everything is attached, then executed undisturbed.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "base/result.h"
#include "record/perf_ring.h"

namespace faultline::record {

struct ChildUsage {
  int wait_status = 0;  // as wait(2)
  rusage usage = {};
};

class Child {
 public:
  // Forks. The child waits; it has our descriptors, signal mask and dispositions, directory and process group.
  static Result<Child> spawn(const std::string& path, const std::vector<std::string>& command, const std::vector<std::string>& environment);

  pid_t pid() const { return pid_; }

  // Lets it call execve. Fails with the reason when execve did; cancel() must follow.
  Result<void> release();

  // Instead of release(), or after it failed: the command never runs. Nobody may trace it any more.
  void cancel();

  // Non-blocking; true once it has ended and been reaped.
  bool ended(ChildUsage& usage);

 private:
  pid_t pid_ = 0;
  Fd gate_;     // a byte lets the child go; closing it ends the child
  Fd failure_;  // the errno of a failed execve; end of file when it succeeded
};

// The environment of the command: ours, with the shim put before any LD_PRELOAD it has, and the shim's own variables.
std::vector<std::string> child_environment(const std::string& shim, const std::string& socket_name, const std::string& options);

}  // namespace faultline::record
