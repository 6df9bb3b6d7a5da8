#include "analyze/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>

#include "analyze/attribution.h"
#include "analyze/symbolizer.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr std::size_t kFaultPoints = 1000;

// Pages that were resident when the process told its end (mincore(2) of its anonymous mappings).
class ResidentPages {
 public:
  explicit ResidentPages(trace::Recording& recording, trace::Pid pid) {
    for (const trace::TouchObservation& touch : recording.touches(pid)) {
      if (!touch.at_exit || !touch.contents.empty()) continue;
      known_ = true;
      std::uint64_t at = touch.address;
      for (std::size_t i = 0; i < touch.runs.size(); ++i) {
        const std::uint64_t end = at + touch.runs[i] * kPageSize;
        if (i % 2 == 0 && end > at) ranges_[at] = end;
        at = end;
      }
    }
  }
  bool known() const { return known_; }
  std::uint64_t bytes_in(std::uint64_t start, std::uint64_t end) const {
    std::uint64_t bytes = 0;
    auto range = ranges_.upper_bound(start);
    if (range != ranges_.begin()) --range;
    for (; range != ranges_.end() && range->first < end; ++range) {
      const std::uint64_t from = std::max(start, range->first), to = std::min(end, range->second);
      if (to > from) bytes += to - from;
    }
    return bytes;
  }

 private:
  std::map<std::uint64_t, std::uint64_t> ranges_;
  bool known_ = false;
};

class Builder {
 public:
  Builder(trace::Recording& recording, const trace::ProcessInfo& process)
      : recording_(recording), process_(process), attribution_(attribute(recording, process)), symbolizer_(recording.modules(process.pid)) {}

  Profile run() {
    head();
    sites();
    elsewhere();
    for (const ProfileStack& stack : profile_.stacks) {
      for (std::size_t i = 0; i < kSamples; ++i) profile_.totals[i] += stack.values[i];
    }
    over_time();
    say_what_is_missing();
    return std::move(profile_);
  }

 private:
  trace::Recording& recording_;
  const trace::ProcessInfo& process_;
  Attribution attribution_;
  Symbolizer symbolizer_;
  Profile profile_;
  std::map<std::tuple<std::string, std::string, int, std::string, std::uint64_t>, std::uint32_t> frame_ids_;
  bool stacks_ = false;

  void head() {
    const std::vector<std::string>& words = process_.command.empty() ? recording_.meta().command : process_.command;
    for (const std::string& word : words) profile_.command += (profile_.command.empty() ? "" : " ") + word;
    profile_.exe = process_.exe;
    profile_.tool_version = recording_.meta().tool_version;
    profile_.pid = process_.pid;
    profile_.start_ns = process_.start_ns;
    profile_.end_ns = process_.end_ns;
    profile_.rss_peak_bytes = process_.rss_peak_bytes;
    profile_.rss_end_bytes = process_.rss_end_bytes;
    profile_.peak_live_bytes = attribution_.sites.peak_bytes();
    profile_.frees = attribution_.frees;
    profile_.threads = attribution_.threads;
    profile_.modules = recording_.modules(process_.pid);
    profile_.known.fill(true);
  }

  std::uint32_t frame(const std::string& function, const std::string& file, int line, const std::string& module, std::uint64_t address) {
    const auto [at, fresh] = frame_ids_.try_emplace({function, file, line, module, address}, static_cast<std::uint32_t>(profile_.frames.size()));
    if (fresh) profile_.frames.push_back({function, file, module, line, address});
    return at->second;
  }

  void add_code(std::uint64_t pc, std::vector<std::uint32_t>& frames) {
    for (const Frame& one : symbolizer_.at(pc)) frames.push_back(frame(one.function, one.file, one.line, one.module, pc));
  }

  void sites() {
    const auto& counters = attribution_.sites.sites();
    trace::StackTable& table = recording_.stacks(process_.pid);
    std::vector<std::uint64_t> resident(counters.size());
    const ResidentPages pages(recording_, process_.pid);
    profile_.known[static_cast<std::size_t>(Sample::resident_space)] = pages.known();
    for (const Block& block : attribution_.live) resident[block.site] += pages.bytes_in(block.address, block.address + block.bytes);
    for (std::size_t id = 0; id < counters.size(); ++id) {
      const SiteCounters& site = counters[id];
      ProfileStack stack;
      stack.values = {site.allocated_bytes, site.calls, site.live_bytes, site.live_blocks, site.at_peak_bytes, resident[id], site.minor_faults + site.major_faults, site.major_faults};
      if (std::all_of(stack.values.begin(), stack.values.end(), [](std::uint64_t value) { return value == 0; })) continue;
      const auto addresses = id < table.size() ? table.frames(static_cast<trace::StackId>(id)) : std::span<const std::uint64_t>{};
      for (const std::uint64_t address : addresses) add_code(address - 1, stack.frames);  // the call before the return address
      stacks_ |= !addresses.empty();
      if (stack.frames.empty()) stack.frames.push_back(frame("(no stack recorded)", "", 0, "", 0));
      profile_.stacks.push_back(std::move(stack));
    }
  }

  void elsewhere() {
    for (const TouchRow& touch : attribution_.touches) {
      if (touch.site != kNoSite || touch.region == Region::recorder) continue;
      ProfileStack stack;
      stack.values[static_cast<std::size_t>(Sample::page_faults)] = touch.minor_faults + touch.major_faults;
      stack.values[static_cast<std::size_t>(Sample::major_faults)] = touch.major_faults;
      if (touch.ip >= kKernelAddress) stack.frames.push_back(frame("kernel (read, recv, ...)", "", 0, "", 0));
      else add_code(touch.ip, stack.frames);
      stack.frames.push_back(frame(fmt::format("[{}]", region_title(touch.region)), "", 0, "", 0));
      profile_.stacks.push_back(std::move(stack));
    }
  }

  void over_time() {
    profile_.rss = recording_.rss_samples(process_.pid);
    std::vector<trace::FaultEvent> faults = recording_.faults(process_.pid);
    std::erase_if(faults, [this](const trace::FaultEvent& fault) {
      return std::any_of(process_.recorder_ranges.begin(), process_.recorder_ranges.end(),
                         [&fault](const auto& range) { return fault.address >= range.first && fault.address < range.second; });
    });
    const std::size_t step = faults.size() / kFaultPoints + 1;
    FaultsUntil until;
    for (std::size_t i = 0; i < faults.size(); ++i) {
      ++(faults[i].kind == trace::FaultKind::minor ? until.minor : until.major);
      until.time_ns = faults[i].time_ns;
      if ((i + 1) % step == 0 || i + 1 == faults.size()) profile_.faults.push_back(until);
    }
  }

  void say_what_is_missing() {
    if (!stacks_ && attribution_.allocations > 0) profile_.missing.push_back("no call stacks were recorded: all allocations are one site");
    if (!recording_.meta().faults_recorded) {
      profile_.missing.push_back("page faults were not recorded");
      profile_.known[static_cast<std::size_t>(Sample::page_faults)] = profile_.known[static_cast<std::size_t>(Sample::major_faults)] = false;
    }
    const std::uint64_t unseen = process_.unattributed_minor + process_.unattributed_major, seen = profile_.total(Sample::page_faults);
    if (recording_.meta().faults_recorded && unseen > (unseen + seen) / 100) {
      profile_.missing.push_back(fmt::format("{} of {} page faults: the kernel counted them, the recorder did not see them", unseen, unseen + seen));
    }
    if (!profile_.holds(Sample::resident_space)) profile_.missing.push_back("the process did not tell its end: what was resident is not known");
    if (profile_.rss.empty()) profile_.missing.push_back("no samples of RSS were taken");
    if (recording_.damage()) profile_.missing.push_back(*recording_.damage());
  }
};

}  // namespace

const char* sample_name(Sample sample) {
  static constexpr const char* kNames[kSamples] = {"alloc_space", "alloc_objects", "inuse_space", "inuse_objects", "peak_space", "resident_space", "page_faults", "major_faults"};
  return kNames[static_cast<std::size_t>(sample)];
}

bool sample_is_bytes(Sample sample) {
  return sample == Sample::alloc_space || sample == Sample::inuse_space || sample == Sample::peak_space || sample == Sample::resident_space;
}

Profile profile_of(trace::Recording& recording, const trace::ProcessInfo& process) { return Builder(recording, process).run(); }

}  // namespace faultline::analyze
