// Drains everything while the command runs: shims' rings, perf rings, resident set samples.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "record/block_queue.h"
#include "record/call_capture.h"
#include "record/listener.h"
#include "record/perf_faults.h"
#include "record/perf_tasks.h"
#include "record/process_table.h"
#include "record/rss_sampler.h"
#include "record/segment.h"
#include "record/time_base.h"
#include "trace/system_codec.h"

namespace faultline::record {

class Collector {
 public:
  struct Sources {
    Listener listener;
    PerfFaults faults;
    std::unique_ptr<CallCapture> calls;  // null: not recorded, or by the shim
    PerfTasks tasks;
  };
  Collector(Sources sources, pid_t main_pid, std::vector<std::string> command, bool wrapped_calls, const TimeBase& time, BlockQueue& queue);

  // Until the command is a zombie: it has ended, nothing of it is lost, and it is not yet reaped.
  void run(int pidfd);
  // Takes what is left, lets programs that still run go on unrecorded. Returns how many those are.
  std::size_t finish();
  // Nobody is held by us any more, and nobody waits for what we trace.
  void stop_tracing();

  ProcessTable& processes() { return processes_; }
  const std::string& refused() const { return refused_; }  // why a program that reported was turned away
  const Sources& sources() const { return sources_; }

 private:
  void accept_programs();
  bool drain(bool last);  // false: nothing came
  void drain_kernel(bool last);
  void flush(bool everything);
  void release_ended(bool everything);
  Segment::Take heap_blocks(std::uint32_t image);
  void write_clock();

  Sources sources_;
  bool wrapped_calls_;
  const TimeBase& time_;
  BlockQueue& queue_;
  ProcessTable processes_;
  RssSampler rss_;
  std::map<std::uint32_t, std::unique_ptr<Segment>> segments_;  // by image
  std::map<trace::Pid, trace::FaultEncoder> fault_blocks_;
  std::map<trace::Pid, trace::CallEncoder> call_blocks_;
  std::vector<RawFault> raw_faults_;
  std::vector<RawCall> raw_calls_;
  std::map<trace::Pid, trace::MappingEncoder> mapping_blocks_;
  std::map<trace::Pid, trace::TaskEncoder> task_blocks_;  // one, of pid 0
  std::vector<RawTask> raw_tasks_;
  std::vector<RawMapping> raw_mappings_;
  std::uint64_t next_flush_ns_ = 0, next_release_ns_ = 0;
  pid_t main_pid_;
  std::string refused_;
};

}  // namespace faultline::record
