// One line of /proc/PID/stat (proc(5); fs/proc/array.c do_task_stat): what the kernel counts for a process, all threads together.
#pragma once

#include <cstdint>
#include <string_view>

#include "live/proc.h"

namespace faultline::live {

struct ProcessStat {
  Pid pid = 0, parent = 0;
  char name[64] = {};  // comm: any byte but NUL, so also blanks, newlines and parentheses; kernel threads may have more than 15
  std::uint8_t name_length = 0;
  char state = '?';    // R S D T t Z X I
  bool kernel_thread = false;
  std::uint64_t minor_faults = 0, major_faults = 0;  // since the process began; threads that ended included, children not
  std::uint64_t threads = 0;
  std::uint64_t start_ticks = 0;  // since boot; with the pid it names a process for good
  std::uint64_t virtual_bytes = 0;
  std::uint64_t rss_bytes = 0;    // as ps shows it. Newer kernels keep it in per-CPU parts and may be some pages behind here

  std::string_view command() const { return {name, name_length}; }
};

// False if the line is none. Allocates nothing.
bool parse_stat(std::string_view line, ProcessStat& stat);

}  // namespace faultline::live
