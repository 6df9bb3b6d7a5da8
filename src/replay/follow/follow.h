// follow: the recorded run of all processes, led through the twin's kernel side step by step. Every system call is made in the twin with the
// recorded arguments and its result compared; every recorded page fault must be one in the twin, of the same kind; where a
// process told its mappings, the twin's must be the same.
//
// After a difference the twin is set right (the recorded place is taken) and goes on, so that one difference does not become many.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "replay/follow/memory_look.h"
#include "trace/recording.h"

namespace faultline::replay {

struct FollowDifference {
  std::uint64_t time_ns = 0;
  trace::Pid pid = 0;
  trace::Tid tid = 0;
  std::string what;      // the call with its arguments, or the access
  std::string expected;  // recorded
  std::string got;       // the twin's
};

// One mapping whose resident bytes differ at the check, or that exists on one side only.
struct MappingDifference {
  trace::Pid pid = 0;
  std::string name;
  std::uint64_t start = 0, end = 0;
  std::string expected, got;
};

struct Follow {
  bool possible = false;
  std::string reason;  // why not

  std::uint64_t processes = 0, images = 0;
  std::uint64_t calls_total = 0, calls_matched = 0;
  std::uint64_t calls_concurrent = 0;  // of the matched: placed as recorded, because another thread's call was under way
  std::map<std::string, std::uint64_t> calls_not_modelled;  // by name; not in calls_total: what they do to mappings shows in the maps
  std::uint64_t faults_total = 0, faults_matched = 0;
  std::uint64_t faults_concurrent = 0;  // of the matched: another task was at the page or its file at that moment
  // Of what differs: in anonymous memory, where nothing is unknown. What a fault in a file finds hangs on the page cache of that
  // moment, of which the recorder saw the end only: there one in 200 may differ.
  std::uint64_t anonymous_faults_differ = 0, anonymous_mappings_differ = 0;
  std::uint64_t minor_predicted = 0, minor_observed = 0;
  std::uint64_t major_predicted = 0, major_observed = 0;
  std::uint64_t maps_compared = 0, maps_equal = 0;            // before a process's first allocation, and at its end
  std::uint64_t mappings_compared = 0, mappings_equal = 0;    // resident bytes, one by one
  bool accesses_known = true;   // what faults were, reads or writes: else they are compared, but not judged
  bool residency_known = true;  // that, and faults inside system calls: the same for residency
  std::uint64_t resident_bytes = 0, resident_bytes_differ = 0;  // of all those; how far the unequal ones are off, summed
  std::uint64_t recorder_mappings = 0;                        // left out of these: they are the recorder's own

  std::vector<FollowDifference> call_differences;   // the first ones
  std::vector<FollowDifference> fault_differences;
  std::vector<MappingDifference> map_differences;

  bool holds() const;  // all calls and maps equal, all of anonymous memory; files: faults and resident bytes within 0.5 %
};

// looks: filled on the way, if there are any.
Follow follow(trace::Recording& recording, MemoryLooks* looks = nullptr);

}  // namespace faultline::replay
