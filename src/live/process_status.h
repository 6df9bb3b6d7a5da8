// The memory lines of /proc/PID/status (proc(5); fs/proc/task_mmu.c task_mem). Anybody may read them; kernel threads and zombies have none.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace faultline::live {

struct ProcessStatus {
  std::uint64_t rss_bytes = 0, rss_peak_bytes = 0;  // VmRSS, VmHWM
  std::uint64_t anonymous_bytes = 0, file_bytes = 0, shmem_bytes = 0;  // the sum is VmRSS
  std::uint64_t swapped_bytes = 0;      // VmSwap
  std::uint64_t page_table_bytes = 0;   // VmPTE
  std::uint64_t locked_bytes = 0;       // VmLck
  std::uint64_t virtual_bytes = 0;      // VmSize
};

std::optional<ProcessStatus> parse_status(std::string_view text);  // none: no memory of its own

}  // namespace faultline::live
