// faultline info FILE: what a recording holds, and what it lacks.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/reference_info.h"
#include "trace/recording.h"
#include "trace/references/reference_file.h"

namespace faultline::cli {
namespace {

using nlohmann::json;

double mib(std::uint64_t bytes) { return static_cast<double>(bytes) / (1024 * 1024); }

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
  return out;
}

struct Counts {
  std::uint64_t heap_events = 0, calls = 0, mappings = 0, minor = 0, major = 0, touches = 0, modules = 0, stacks = 0, threads = 0;
};

// Reads everything, so that damage anywhere shows.
Counts count(trace::Recording& recording, trace::Pid pid) {
  Counts counts;
  std::vector<trace::Tid> tids;
  const auto reader = recording.heap_events(pid);
  trace::HeapEvent event;
  while (reader->next(event)) {
    ++counts.heap_events;
    if (tids.empty() || tids.back() != event.tid) {
      if (std::find(tids.begin(), tids.end(), event.tid) == tids.end()) {
        tids.push_back(event.tid);
      } else {
        std::swap(*std::find(tids.begin(), tids.end(), event.tid), tids.back());
      }
    }
  }
  counts.threads = tids.size();
  counts.stacks = recording.stacks(pid).size() - 1;
  for (const trace::FaultEvent& fault : recording.faults(pid)) ++(fault.kind == trace::FaultKind::major ? counts.major : counts.minor);
  counts.calls = recording.calls(pid).size();
  counts.mappings = recording.mapping_events(pid).size();
  counts.touches = recording.touches(pid).size();
  counts.modules = recording.modules(pid).size();
  return counts;
}

json to_json(const trace::ProcessInfo& process, const Counts& counts, bool is_main_process) {
  json ranges = json::array();
  for (const auto& [start, end] : process.recorder_ranges) ranges.push_back({fmt::format("{:#x}", start), fmt::format("{:#x}", end)});
  return {{"pid", process.pid},
          {"parent", process.parent},
          {"is_main", is_main_process},
          {"forked_without_exec", process.forked_without_exec},
          {"exe", process.exe},
          {"command", process.command},
          {"earlier_images", process.earlier_images},
          {"start_ns", process.start_ns},
          {"end_ns", process.end_ns},
          {"threads", counts.threads},
          {"heap_events", counts.heap_events},
          {"stacks", counts.stacks},
          {"modules", counts.modules},
          {"memory_calls", counts.calls},
          {"mappings", counts.mappings},
          {"touches", counts.touches},
          {"minor_faults_recorded", counts.minor},
          {"major_faults_recorded", counts.major},
          {"minor_faults", process.minor_faults},
          {"major_faults", process.major_faults},
          {"recorder_faults", process.recorder_faults},
          {"unattributed_minor_faults", process.unattributed_minor},
          {"unattributed_major_faults", process.unattributed_major},
          {"lost_fault_records", process.lost_fault_records},
          {"lost_call_records", process.lost_call_records},
          {"lost_task_records", process.lost_task_records},
          {"lost_heap_events", process.lost_heap_events},
          {"lost_turns", process.lost_turns},
          {"rss_peak_bytes", process.rss_peak_bytes},
          {"rss_end_bytes", process.rss_end_bytes},
          {"recorder_rss_bytes", process.recorder_rss_bytes},
          {"recorder_ranges", ranges},
          {"allocator", process.allocator},
          {"glibc_version", process.glibc_version},
          {"tunables", process.tunables},
          {"environment", process.environment},
          {"thp_mode", process.thp_mode},
          {"exit_seen", process.exit_seen}};
}

json to_json(const trace::MachineCosts& costs) {
  return {{"minor_fault_ns", costs.minor_fault_ns}, {"brk_ns", costs.brk_ns},
          {"mmap_ns", costs.mmap_ns},               {"munmap_ns", costs.munmap_ns},
          {"munmap_page_ns", costs.munmap_page_ns}, {"madvise_ns", costs.madvise_ns},
          {"mremap_ns", costs.mremap_ns},           {"malloc_free_pair_ns", costs.malloc_free_pair_ns}};
}

void print(const trace::ProcessInfo& process, const Counts& counts, bool is_main_process) {
  fmt::print("\nprocess {}{}: {}\n", process.pid, is_main_process ? " (main)" : "",
             process.command.empty() ? (process.exe.empty() ? "unknown command" : process.exe) : joined(process.command));
  if (!process.earlier_images.empty()) fmt::print("  before its execve:  {} (not part of what follows)\n", joined(process.earlier_images));
  if (process.forked_without_exec) fmt::print("  forked without execve: its heap began as its parent's\n");
  fmt::print("  malloc events:      {} of {} thread{}, {} distinct stacks, {} modules\n", counts.heap_events, counts.threads,
             counts.threads == 1 ? "" : "s", counts.stacks, counts.modules);
  fmt::print("  page faults:        {} minor, {} major recorded; the kernel counted {} and {}\n", counts.minor, counts.major,
             process.minor_faults, process.major_faults);
  fmt::print("  of those:           {} by the recorder itself, {} minor and {} major seen by no event\n", process.recorder_faults,
             process.unattributed_minor, process.unattributed_major);
  fmt::print("  memory calls:       {}; {} mappings seen\n", counts.calls, counts.mappings);
  fmt::print("  resident:           peak {:.1f} MiB, end {:.1f} MiB (without {:.1f} MiB of the recorder)\n", mib(process.rss_peak_bytes),
             mib(process.rss_end_bytes), mib(process.recorder_rss_bytes));
  fmt::print("  allocator:          {}{}\n", process.allocator.empty() ? "unknown" : process.allocator,
             process.glibc_version.empty() ? "" : " (glibc " + process.glibc_version + ")");
  if (!process.tunables.empty()) fmt::print("  GLIBC_TUNABLES:     {}\n", process.tunables);
  if (!process.environment.empty()) fmt::print("  environment:        {}\n", joined(process.environment));
  if (!process.exit_seen) fmt::print("  end:                not reported (killed, still running, or not entered)\n");
  const std::uint64_t lost = process.lost_fault_records + process.lost_call_records + process.lost_task_records + process.lost_heap_events;
  if (lost != 0) {
    fmt::print("  lost:               {} fault, {} call, {} process and mapping, {} malloc records\n", process.lost_fault_records,
               process.lost_call_records, process.lost_task_records, process.lost_heap_events);
  }
  if (process.lost_turns != 0) fmt::print("  lost turns:         {}: so often a thread was gone in the middle of malloc or kept its turn for seconds\n", process.lost_turns);
}

class InfoCommand : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("FILE", path_, "a recording or a reference stream")->required();
    app.add_flag("--json", json_, "for programs; keys in docs/json.md");
  }

  Result<int> run() override {
    if (trace::ReferenceStreamFile::is_one(path_)) return print_reference_info(path_, json_);
    FL_TRY(const auto recording, trace::Recording::open(path_));
    const trace::Meta& meta = recording->meta();
    const trace::ProcessInfo* main = recording->main_process();
    json processes = json::array();
    std::vector<Counts> counts;
    for (const trace::ProcessInfo& process : recording->processes()) {
      counts.push_back(count(*recording, process.pid));
      processes.push_back(to_json(process, counts.back(), &process == main));
    }
    if (json_) {
      json out = {{"file", path_},
                  {"file_bytes", recording->file_bytes()},
                  {"format_version", meta.format_version},
                  {"tool_version", meta.tool_version},
                  {"command", meta.command},
                  {"kernel_release", meta.kernel_release},
                  {"machine", meta.machine},
                  {"clock_zero_ns", meta.clock_zero_ns},
                  {"memory_limit_bytes", meta.memory_limit_bytes != 0 ? json(meta.memory_limit_bytes) : json(nullptr)},
                  {"wall_ns", meta.wall_ns},
                  {"user_ns", meta.user_ns},
                  {"system_ns", meta.system_ns},
                  {"faults_recorded", meta.faults_recorded},
                  {"kernel_mode_faults", meta.kernel_mode_faults},
                  {"calls_exact", meta.calls_exact},
                  {"turns", meta.turns},
                  {"calls_by", meta.calls_by},
                  {"fault_access", meta.fault_access},
                  {"mappings_recorded", meta.mappings_recorded},
                  {"missing", meta.missing},
                  {"damage", recording->damage() ? json(*recording->damage()) : json(nullptr)},
                  {"costs", to_json(meta.costs)},
                  {"processes", processes}};
      fmt::print("{}\n", out.dump(2, ' ', false, json::error_handler_t::replace));
      return kDone;
    }
    fmt::print("{}: {:.2f} MiB, format {}, faultline {}\n", path_, mib(recording->file_bytes()), meta.format_version, meta.tool_version);
    fmt::print("command:  {}\n", joined(meta.command));
    fmt::print("machine:  {}, Linux {}\n", meta.machine, meta.kernel_release);
    fmt::print("duration: {:.3f} s ({:.3f} s user, {:.3f} s system)\n", static_cast<double>(meta.wall_ns) / 1e9,
               static_cast<double>(meta.user_ns) / 1e9, static_cast<double>(meta.system_ns) / 1e9);
    for (std::size_t i = 0; i < counts.size(); ++i) {
      const trace::ProcessInfo& process = recording->processes()[i];
      print(process, counts[i], &process == main);
    }
    if (!meta.missing.empty() || recording->damage()) fmt::print("\n");
    for (const std::string& line : meta.missing) fmt::print("not recorded: {}\n", line);
    if (recording->damage()) fmt::print("damage: {}\n", *recording->damage());
    return kDone;
  }

 private:
  std::string path_;
  bool json_ = false;
};

}  // namespace

FL_REGISTER_COMMAND(InfoCommand, "info", "what a recording or a reference stream holds");

}  // namespace faultline::cli
