// LimitedReplay: a reference stream run in a machine with limited memory: which faults, how much swap traffic, how long the program
// waits. One run is one limit, one policy, one device; a loop over limits is a curve.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "mm/backing/block_device.h"
#include "mm/machine/machine.h"
#include "trace/references/reference.h"

namespace faultline::replay {

struct LimitSettings {
  std::uint64_t limit_pages = mm::MemoryLimit::kNone;  // of the group of processes
  std::uint64_t swap_pages = 0;                        // 0: no swap
  std::string policy = "linux";
  mm::DeviceModel device;
  unsigned swappiness = 60;
  std::uint32_t swap_read_ahead_hits = 4;  // of a rotating device, before the stream: see mm::SwapConfig
  bool cgroup_v1 = true;                // reclaim waits for pages being written
  std::uint64_t kernel_pages = 8;       // charged to the group beside page tables: slabs, 20 to 30 KiB a process
  std::uint32_t read_ahead_pages = 32;  // of files: queue/read_ahead_kb
  // Files that are in the page cache before the program begins, charged to somebody else, and stay there: no reads, no room taken. What
  // packages installed is, where other programs run; what the program works on is not. Patterns of fnmatch(3).
  std::vector<std::string> resident = {"/usr/*", "/etc/*", "/opt/*"};
  // How often the kernel sums up a group's statistics, and when first; see mm::ReclaimConfig.
  std::uint64_t statistics_period_ns = 2'000'000'000;
  std::uint64_t statistics_first_ns = 1'000'000'000;
  // Costs of the processor, ns: a reference that hits, a minor fault, what a major one costs beside the device.
  std::uint64_t hit_ns = 2;
  std::uint64_t minor_ns = 700;
  std::uint64_t major_ns = 3000;
};

// Faults on one mapping: of a file, by its path, or of anonymous memory, by its first address.
struct MappingFaults {
  std::string name;
  std::uint64_t minor = 0;
  std::uint64_t major = 0;
};

struct LimitOutcome {
  std::uint64_t references = 0;
  std::uint64_t minor_faults = 0;
  std::uint64_t major_faults = 0;
  std::uint64_t swapped_in = 0;    // pages read from swap, read-ahead included
  std::uint64_t swapped_out = 0;   // pages written to it
  std::uint64_t file_pages_read = 0;
  std::uint64_t evicted = 0;
  std::uint64_t stall_ns = 0;      // of the program, for the device and for room
  std::uint64_t time_ns = 0;       // all of it, by the costs above
  std::uint64_t peak_pages = 0;    // charged
  bool out_of_memory = false;      // Linux would kill it: the limit cannot be held
  std::string killed_at;           // then: what it was doing
  std::vector<MappingFaults> mappings;  // most major faults first
};

// Runs the stream from its beginning. An error is the stream's own.
Result<LimitOutcome> replay_limited(trace::ReferenceSource& source, const LimitSettings& settings);

}  // namespace faultline::replay
