#include "live/process_table.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "live/clock.h"

namespace faultline::live {
namespace {

constexpr std::size_t kStatBytes = 2048;  // 52 numbers of 20 digits and a name
constexpr std::size_t kSpare = 64;        // descriptors left for everything else

// As many as are permitted: the soft limit is a convention for select(2), which nothing here uses.
std::size_t most_open_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 0;
  if (limit.rlim_cur < limit.rlim_max) {
    rlimit raised = limit;
    raised.rlim_cur = limit.rlim_max == RLIM_INFINITY ? std::max<rlim_t>(limit.rlim_cur, 65536) : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  }
  const auto most = static_cast<std::size_t>(std::min<rlim_t>(limit.rlim_cur, 65536));
  return most > kSpare ? most - kSpare : 0;
}

}  // namespace

ProcessTable::ProcessTable(const Proc& proc) : proc_(&proc), text_(kStatBytes, '\0'), keep_open_(most_open_files()) {}

bool ProcessTable::read(Entry& entry, std::size_t open, ProcessStat& stat) {
  const auto parse = [&](int fd) {
    const ssize_t got = pread(fd, text_.data(), text_.size(), 0);
    return got > 0 && parse_stat({text_.data(), static_cast<std::size_t>(got)}, stat);
  };
  if (entry.file.open() && parse(entry.file.get())) return true;
  // Not open yet, or of a process that ended; then the pid may be another's by now.
  Descriptor file;
  const Access access = proc_->open_file(entry.pid, "stat", file);
  if (access == Access::denied) ++unreadable_;
  if (access != Access::ok || !parse(file.get())) return false;
  if (open < keep_open_) entry.file = std::move(file);
  return true;
}

void ProcessTable::sample() {
  proc_->pids(pids_);
  unreadable_ = 0;
  const std::uint64_t now = now_ns();
  seconds_ = samples_ > 0 ? static_cast<double>(now - sampled_ns_) / 1e9 : 0;
  sampled_ns_ = now;
  next_entries_.clear();
  next_rows_.clear();
  std::size_t old = 0, old_row = 0, open = 0;
  for (const Pid pid : pids_) {
    while (old < entries_.size() && entries_[old].pid < pid) ++old;
    while (old_row < rows_.size() && rows_[old_row].stat.pid < pid) ++old_row;
    Entry entry;
    if (old < entries_.size() && entries_[old].pid == pid) entry = std::move(entries_[old]);
    entry.pid = pid;
    ProcessRow row;
    if (!read(entry, open, row.stat)) continue;
    row.stat.pid = pid;
    const bool known = old_row < rows_.size() && rows_[old_row].stat.pid == pid && rows_[old_row].stat.start_ticks == row.stat.start_ticks;
    if (known || samples_ > 0) {
      const ProcessStat before = known ? rows_[old_row].stat : ProcessStat{};
      row.has_rise = true;
      row.minor_rise = row.stat.minor_faults - std::min(before.minor_faults, row.stat.minor_faults);
      row.major_rise = row.stat.major_faults - std::min(before.major_faults, row.stat.major_faults);
      row.rss_rise_bytes = static_cast<std::int64_t>(row.stat.rss_bytes) - static_cast<std::int64_t>(before.rss_bytes);
    }
    open += entry.file.open();
    next_entries_.push_back(std::move(entry));
    next_rows_.push_back(row);
  }
  entries_.swap(next_entries_);
  rows_.swap(next_rows_);
  ++samples_;
}

}  // namespace faultline::live
