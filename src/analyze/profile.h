// One process as profilers' formats want it: call stacks with sums, and what went on over time. Exporters write it down; what can be
// computed is computed here.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "trace/recording.h"

namespace faultline::analyze {

enum class Sample : std::uint8_t {
  alloc_space, alloc_objects,  // all that was ever asked of malloc
  inuse_space, inuse_objects,  // never freed
  peak_space,                  // live when the most bytes were
  resident_space,              // of inuse_space: in pages that were resident at the end
  page_faults, major_faults,   // page_faults: minor and major together
};
inline constexpr std::size_t kSamples = 8;
const char* sample_name(Sample sample);  // "alloc_space", as pprof has them
bool sample_is_bytes(Sample sample);     // else a count

struct ProfileFrame {
  std::string function, file, module;  // never empty, may be empty, may be empty
  int line = 0;
  std::uint64_t address = 0;  // of the instruction; inlined functions share one. 0: no code (a region's name)
};

struct ProfileStack {
  std::vector<std::uint32_t> frames;  // indices into Profile::frames, innermost first; never empty
  std::array<std::uint64_t, kSamples> values{};
  std::uint64_t value(Sample sample) const { return values[static_cast<std::size_t>(sample)]; }
};

struct FaultsUntil {  // the program's, since the process began
  std::uint64_t time_ns = 0, minor = 0, major = 0;
};

struct Profile {
  std::string command, exe, tool_version;
  trace::Pid pid = 0;
  std::uint64_t start_ns = 0, end_ns = 0;  // since the start of the recording
  std::uint64_t rss_peak_bytes = 0, rss_end_bytes = 0;  // 0: not known
  std::uint64_t peak_live_bytes = 0, frees = 0, threads = 0;
  std::vector<ProfileFrame> frames;
  std::vector<ProfileStack> stacks;  // each with some value. Faults of memory that is not malloc's: the code that touched it in the region's name
  std::array<bool, kSamples> known{};
  std::array<std::uint64_t, kSamples> totals{};
  std::vector<trace::RssSample> rss;   // by time
  std::vector<FaultsUntil> faults;     // by time, at most a thousand
  std::vector<trace::Module> modules;
  std::vector<std::string> missing;    // a line each: what the recording does not hold

  bool holds(Sample sample) const { return known[static_cast<std::size_t>(sample)]; }
  std::uint64_t total(Sample sample) const { return totals[static_cast<std::size_t>(sample)]; }
};

Profile profile_of(trace::Recording& recording, const trace::ProcessInfo& process);

}  // namespace faultline::analyze
