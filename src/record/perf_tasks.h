// Births, execve, ends and mappings of processes: the side-band records of a dummy perf event, allowed to everybody; whether a birth
// shares memory (CLONE_VM) tells a tracepoint.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "record/perf_ring.h"
#include "record/tracepoint.h"
#include "trace/system_event.h"

namespace faultline::record {

struct RawTask {
  trace::TaskEvent event;    // of processes; time_ns is CLOCK_MONOTONIC_RAW
  bool thread_only = false;  // an exit: other threads of the process went on
  std::string name;          // exec: the new comm
};

struct RawMapping {
  trace::MappingEvent mapping;
  trace::Pid pid;
};

class PerfTasks {
 public:
  // Never fails: without perf there are no events, and processes are known from their shims alone.
  static PerfTasks attach(pid_t pid, const KernelTracepoints& tracepoints);

  bool recorded() const { return !rings_.empty(); }
  std::uint64_t lost() const { return lost_; }

  // Tasks come in the order of their times, some ms late; all of them when last. Mappings of one process may come in any order.
  void drain(std::vector<RawTask>& tasks, std::vector<RawMapping>& mappings, bool last);

 private:
  enum class Kind : std::uint8_t { fork, exec, exit, flags };
  struct Record {  // as it came, threads too
    std::uint64_t time;
    Kind kind;
    trace::Pid pid, parent;
    trace::Tid parent_tid;
    std::uint64_t clone_flags;
    std::string name;
  };
  void take_task(const perf_event_header& header, const std::uint8_t* body, std::size_t size);
  void take_mapping(const std::uint8_t* body, std::size_t size, std::vector<RawMapping>& mappings);
  void take_flags(const std::uint8_t* body, std::size_t size);
  void emit(const Record& record, std::vector<RawTask>& tasks);

  std::vector<PerfRing> rings_;
  std::size_t flags_at_ = 0;  // of task_newtask, in the raw sample
  std::vector<Record> pending_;
  std::map<trace::Pid, int> threads_;  // of each process that lives; absent: one
  std::uint64_t lost_ = 0;
};

}  // namespace faultline::record
