#include "live/process_watch.h"

#include <algorithm>

#include "live/clock.h"
#include "live/process_view.h"

namespace faultline::live {
namespace {

std::uint64_t rise(std::uint64_t before, std::uint64_t after) { return after - std::min(before, after); }

}  // namespace

ProcessWatch::ProcessWatch(const Proc& proc, Pid pid) : proc_(&proc), pid_(pid), pressure_(PressureSource::of(proc, pid)), begin_ns_(now_ns()) {}

Result<std::optional<WatchSample>> ProcessWatch::look() {
  FL_TRY(const auto stat, stat_of(*proc_, pid_));
  if (!stat || (last_ && stat->start_ticks != last_->stat.start_ticks)) return std::optional<WatchSample>{};
  const std::uint64_t now = now_ns();
  WatchSample sample;
  sample.stat = *stat;
  std::string text;
  if (proc_->read(pid_, "status", text) == Access::ok) sample.status = parse_status(text);
  sample.pressure = pressure_.read();
  sample.elapsed_ns = now - begin_ns_;
  if (last_) {
    sample.interval_ns = now - last_ns_;
    sample.minor_rise = rise(last_->stat.minor_faults, stat->minor_faults);
    sample.major_rise = rise(last_->stat.major_faults, stat->major_faults);
    sample.rss_rise_bytes = static_cast<std::int64_t>(sample.rss_bytes()) - static_cast<std::int64_t>(last_->rss_bytes());
    if (sample.pressure && last_->pressure && sample.interval_ns > 0) {
      sample.pressure_share = std::min(1.0, static_cast<double>(rise(last_->pressure->some_us, sample.pressure->some_us)) * 1e3 / static_cast<double>(sample.interval_ns));
    }
  }
  last_ = sample;
  last_ns_ = now;
  return std::optional<WatchSample>{sample};
}

}  // namespace faultline::live
