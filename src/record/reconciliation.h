// The last blocks of a recording: what every process was and how its fault counters compare with what was recorded.
#pragma once

#include <string>
#include <vector>

#include "record/process_table.h"
#include "record/recorder.h"
#include "record/rss_sampler.h"
#include "trace/block_writer.h"

namespace faultline::record {

struct MainEnd {
  trace::Pid pid;
  int wait_status;
  FaultCounters faults;  // of the command's own process, since just before its execve
};

struct RecorderCounts {
  std::uint64_t lost_faults = 0, lost_calls = 0, lost_tasks = 0;  // perf does not say whose
};

// Reads the recording back (it is readable at every moment), then appends process, meta and end blocks. Fills in the counts
// of the summary.
void write_end(trace::BlockWriter& writer, const std::string& path, std::vector<ProcImage>& images, const MainEnd& end,
               const RecorderCounts& counts, RecordSummary& summary);

}  // namespace faultline::record
