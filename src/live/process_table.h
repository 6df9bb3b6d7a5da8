// All processes, sampled again and again: counters and what they rose by. Made for thousands at once: a file per process stays open, what
// is read is parsed in place, and nothing is allocated in a sample without new processes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "live/process_stat.h"

namespace faultline::live {

struct ProcessRow {
  ProcessStat stat;
  std::uint64_t minor_rise = 0, major_rise = 0;  // since the sample before; of a process born since then: all it had
  std::int64_t rss_rise_bytes = 0;
  bool has_rise = false;  // false in the first sample of an older process
};

class ProcessTable {
 public:
  explicit ProcessTable(const Proc& proc);

  void sample();  // processes that ended are no longer in rows()
  std::span<const ProcessRow> rows() const { return rows_; }  // by pid
  double seconds() const { return seconds_; }        // between the last two samples; 0 after the first
  std::size_t unreadable() const { return unreadable_; }  // processes that are seen but may not be read (hidepid)

 private:
  struct Entry {
    Pid pid = 0;
    Descriptor file;
  };
  const Proc* proc_;
  std::vector<Pid> pids_;
  std::vector<Entry> entries_, next_entries_;
  std::vector<ProcessRow> rows_, next_rows_;
  std::string text_;
  std::size_t keep_open_;
  std::size_t unreadable_ = 0;
  std::uint64_t sampled_ns_ = 0;
  std::uint64_t samples_ = 0;
  double seconds_ = 0;

  bool read(Entry& entry, std::size_t open, ProcessStat& stat);
};

}  // namespace faultline::live
