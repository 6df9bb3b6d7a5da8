// What the recorder learns of processes while they run: images (one execve or fork that allocates), births and ends.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "record/perf_tasks.h"
#include "record/time_base.h"
#include "trace/event.h"

namespace faultline::record {

struct ProcImage {
  std::uint32_t number = 0;  // of its blocks in the recording, from 1
  trace::Pid pid = 0;
  std::uint64_t hello_ns = 0;
  std::uint64_t lost_heap_events = 0, lost_turns = 0;
  std::uint64_t recorder_rss_bytes = 0;
  std::uint64_t minor_of_pid = 0, major_of_pid = 0;  // recorded faults of the pid's whole life, this image's included
  trace::ProcessInfo info;  // what is known at once
};

struct ProcHistory {
  trace::Pid parent = 0;
  std::uint64_t fork_ns = 0, end_ns = 0;
  std::vector<std::pair<std::uint64_t, std::string>> execs;  // time and comm
  std::uint64_t minor_recorded = 0, major_recorded = 0;      // faults of the pid's whole life
};

class ProcessTable {
 public:
  ProcessTable(trace::Pid main_pid, std::vector<std::string> command) : main_(main_pid), command_(std::move(command)) {}

  void add(const RawTask& task, const TimeBase& time);
  ProcImage& add_image(trace::Pid pid, trace::Pid parent, bool forked_without_exec, std::uint64_t now_ns);
  ProcHistory& history(trace::Pid pid) { return histories_[pid]; }
  ProcImage& image(std::uint32_t number) { return images_.at(number); }
  bool any_image() const { return !images_.empty(); }

  // At the end: one entry per image and per pid without one, with start and end times; the last of a pid names the others.
  std::vector<ProcImage> finished() const;

 private:
  trace::Pid main_;
  std::vector<std::string> command_;
  std::map<std::uint32_t, ProcImage> images_;
  std::map<trace::Pid, ProcHistory> histories_;
};

}  // namespace faultline::record
