// One process looked at now and again: counters, what they rose by, and memory pressure around it.
#pragma once

#include <cstdint>
#include <optional>

#include "live/pressure.h"
#include "live/process_stat.h"
#include "live/process_status.h"

namespace faultline::live {

struct WatchSample {
  ProcessStat stat;
  std::optional<ProcessStatus> status;  // none: a kernel thread or a zombie
  std::optional<Pressure> pressure;
  std::uint64_t elapsed_ns = 0;   // since the watch began
  std::uint64_t interval_ns = 0;  // since the sample before; 0 in the first, where nothing rose
  std::uint64_t minor_rise = 0, major_rise = 0;
  std::int64_t rss_rise_bytes = 0;
  std::optional<double> pressure_share;  // of the interval in which some task of the group waited for memory

  // VmRSS of status is the sum of the kernel's per-CPU parts; that of stat may be behind.
  std::uint64_t rss_bytes() const { return status ? status->rss_bytes : stat.rss_bytes; }
  double minor_per_second() const { return per_second(minor_rise); }
  double major_per_second() const { return per_second(major_rise); }

 private:
  double per_second(std::uint64_t rise) const { return interval_ns > 0 ? static_cast<double>(rise) * 1e9 / static_cast<double>(interval_ns) : 0; }
};

class ProcessWatch {
 public:
  ProcessWatch(const Proc& proc, Pid pid);

  // None: it ended (or the pid is another process's now). Fails only if it is there and cannot be read.
  Result<std::optional<WatchSample>> look();
  Pid pid() const { return pid_; }
  const std::string& pressure_scope() const { return pressure_.scope(); }

 private:
  const Proc* proc_;
  Pid pid_;
  PressureSource pressure_;
  std::uint64_t begin_ns_, last_ns_ = 0;
  std::optional<WatchSample> last_;
};

}  // namespace faultline::live
