// Running a command without the recorder and measuring it (wait4(2)): the other half of confirm.
//
// A process's ru_minflt and ru_maxrss survive execve(2), so whoever forks leaves a mark on the child: its copy-on-write
// faults before exec are counted, and its own resident memory is the floor of ru_maxrss. The Launcher is therefore a
// small process forked before any recording is loaded; it forks each run, and the run notes its fault count (in a shared
// page) as the last thing before execve. What remains is "since exec", the recorder's own meaning.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace faultline::analyze {

struct Measurement {
  std::uint64_t wall_ns = 0, user_ns = 0, system_ns = 0;
  std::uint64_t minor_faults = 0, major_faults = 0;  // since exec; reaped children included
  std::uint64_t rss_peak_bytes = 0;                  // greatest of the command and its reaped children
  std::int32_t wait_status = 0;
  std::int32_t exec_errno = 0;  // != 0: the command could not be started
};

class Launcher {
 public:
  // Forks the helper. Call it first thing: everything this process holds by then counts into the floor.
  static Result<Launcher> start(const std::vector<std::string>& command, bool quiet);
  Launcher(Launcher&& other) noexcept;
  Launcher& operator=(Launcher&&) = delete;
  Launcher(const Launcher&) = delete;
  Launcher& operator=(const Launcher&) = delete;
  ~Launcher();

  // Runs the command once. tunables replaces GLIBC_TUNABLES; empty removes it. without: other variables that go.
  Result<Measurement> run(const std::string& tunables, const std::vector<std::string>& without = {});

 private:
  Launcher(pid_t helper, int socket) : helper_(helper), socket_(socket) {}
  pid_t helper_ = -1;
  int socket_ = -1;
};

// GLIBC_TUNABLES entries of `changes` win over those of `base`; other entries of base stay.
std::string merged_tunables(const std::string& base, const std::string& changes);
// Without malloc's entries.
std::string other_tunables(const std::string& tunables);

}  // namespace faultline::analyze
