#include "replay/follow/follow.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "mm/machine/machine.h"
#include "replay/follow/file_contention.h"
#include "replay/follow/image_start.h"
#include "replay/follow/kernel_run.h"
#include "replay/follow/maps_check.h"
#include "replay/follow/twin_calls.h"
#include "replay/smaps.h"

namespace faultline::replay {
namespace {

using trace::Pid;

// The machine as the recorder found it. Memory calls are not refused for limits and rights that the recording does not tell.
mm::MachineConfig config_of(const trace::Recording& recording) {
  mm::MachineConfig config;
  if (!recording.processes().empty()) {
    const std::string& mode = recording.processes().front().thp_mode;
    config.profile.thp = mode == "always" ? mm::ThpMode::always : mode == "never" ? mm::ThpMode::never : mm::ThpMode::madvise;
  }
  return config;
}

constexpr std::size_t kKept = 20;                   // differences kept for people
constexpr std::uint64_t kSameMomentNs = 100'000;    // two threads' faults on one page: the second found it there

class Follower {
 public:
  Follower(trace::Recording& recording, MemoryLooks* looks)
      : recording_(recording), looks_(looks), run_(read_kernel_run(recording)), machine_(mm::Machine::create(config_of(recording))),
        files_(*machine_, recording.cached_files(), run_) {}

  Follow follow() {
    if (run_.tasks.empty()) {
      out_.reason = "the recording does not tell when processes began (recorded without perf, or by an earlier version)";
      return std::move(out_);
    }
    if (!recording_.meta().calls_exact) {
      out_.reason = "the recording does not hold every memory call";
      return std::move(out_);
    }
    out_.accesses_known = recording_.meta().fault_access || !recording_.meta().faults_recorded;
    out_.residency_known = recording_.meta().faults_recorded && recording_.meta().kernel_mode_faults && out_.accesses_known;
    for (const KernelStep& step : run_.steps) {
      if (looks_ != nullptr) look_before(step.time_ns);
      if (step.time_ns > machine_->clock().now_ns()) machine_->advance(step.time_ns - machine_->clock().now_ns());
      switch (step.kind) {
        case KernelStep::Kind::fork: fork(run_.tasks[step.index]); break;
        case KernelStep::Kind::exec: exec(run_.tasks[step.index]); break;
        case KernelStep::Kind::call: call(step); break;
        case KernelStep::Kind::fault: fault(step); break;
        case KernelStep::Kind::check_start: {
          const trace::ProcessInfo& info = recording_.processes()[step.index];
          compare_maps(info, info.start_maps);
          break;
        }
        case KernelStep::Kind::check: check(recording_.processes()[step.index]); break;
        case KernelStep::Kind::exit: exit(step.pid); break;
      }
      if (looks_ != nullptr && step.pid == looks_->pid) note_peak(step.time_ns);
    }
    if (looks_ != nullptr) look_before(~std::uint64_t{0});
    out_.possible = out_.images > 0;
    if (!out_.possible) out_.reason = "no process was seen from its first instruction";
    return std::move(out_);
  }

 private:
  struct Known {  // a process the twin has
    mm::Pid pid = 0;
    mm::FaultCounters at_start;  // of its image
    std::uint64_t start_ns = 0;
    std::uint64_t last_time_ns = 0;
  };
  struct RecentFault {
    std::uint64_t time_ns = 0;
    trace::Tid tid = 0;
  };

  trace::Recording& recording_;
  MemoryLooks* looks_;
  KernelRun run_;
  std::unique_ptr<mm::Machine> machine_;
  RecordedFiles files_;
  std::map<Pid, Known> known_;
  std::map<std::pair<Pid, std::uint64_t>, RecentFault> recent_;  // by page, pruned as time goes on
  std::uint64_t next_prune_ns_ = 0;
  FileContention file_contention_;
  Follow out_;

  mm::Process* process(Pid pid) {
    const auto found = known_.find(pid);
    return found == known_.end() ? nullptr : &machine_->process(found->second.pid);
  }

  // Looks that are due before the machine goes on to that time.
  void look_before(std::uint64_t time_ns) {
    const auto due = [&](const auto& wanted, const auto& seen) { return seen.size() < wanted.size() && wanted[seen.size()] < time_ns; };
    while (due(looks_->totals_ns, looks_->totals)) {
      const mm::Process* const looked_at = process(looks_->pid);
      looks_->totals.push_back(looked_at == nullptr ? 0 : looked_at->space().statistics().resident_pages << kPageShift);
    }
    while (due(looks_->wanted_ns, looks_->seen)) {
      const mm::Process* const looked_at = process(looks_->pid);
      MemoryLook look = looked_at == nullptr ? MemoryLook{} : look_at(looked_at->space(), files_);
      look.time_ns = looks_->wanted_ns[looks_->seen.size()];
      looks_->seen.push_back(std::move(look));
    }
  }
  void note_copy(const mm::AddressSpace& space, const trace::FaultEvent& fault) {
    const mm::Pte* const pte = space.page_table().entry(VirtAddr(fault.address).vpn());
    if (pte == nullptr || !pte->maps_frame() || pte->writable()) return;
    const mm::Frame& frame = space.page_table().frames().at(pte->pfn());
    if (frame.use != mm::FrameUse::anonymous) return;
    if (frame.users > 1) looks_->copies.push_back(fault);
    else ++looks_->reuses;
  }
  void note_peak(std::uint64_t time_ns) {
    const mm::Process* const looked_at = process(looks_->pid);
    if (looked_at == nullptr || time_ns < looks_->since_ns || time_ns > looks_->until_ns) return;
    const std::uint64_t bytes = looked_at->space().statistics().resident_pages << kPageShift;
    if (bytes <= looks_->peak_bytes) return;
    looks_->peak_bytes = bytes;
    looks_->peak_ns = time_ns;
  }

  void fork(const trace::TaskEvent& task) {
    const auto parent = known_.find(task.parent);
    if (parent == known_.end() || known_.contains(task.pid)) return;
    mm::Pid child = 0;
    if (task.shares_memory) {
      child = machine_->clone_vm(parent->second.pid);
    } else if (auto forked = machine_->fork(parent->second.pid)) {
      child = *forked;
    } else {
      return;
    }
    known_[task.pid] = {child, machine_->process(child).faults(), task.time_ns, task.time_ns};
    ++out_.processes;
  }

  void exec(const trace::TaskEvent& task) {
    const KernelRun::OfProcess& own = run_.processes[task.pid];
    // Everything mapped until the image's own first call, or until its next execve.
    std::uint64_t until = ~std::uint64_t{0};
    for (const trace::TaskEvent& other : run_.tasks) {
      if (other.pid == task.pid && other.time_ns > task.time_ns) until = std::min(until, other.time_ns);
    }
    const auto later = [&](const trace::MemoryCall& c) { return c.begin_ns > task.time_ns; };
    const auto first_call = std::find_if(own.calls.begin(), own.calls.end(), later);
    std::uint64_t first_break = 0;
    for (auto at = first_call; at != own.calls.end() && at->begin_ns < until && first_break == 0; ++at) {
      if (at->kind == trace::CallKind::brk && at->args[0] == 0) first_break = static_cast<std::uint64_t>(at->result);
    }
    const std::uint64_t next = until;  // end of the image
    if (first_call != own.calls.end()) until = std::min(until, first_call->begin_ns);
    std::vector<trace::MappingEvent> mapped;
    for (const trace::MappingEvent& mapping : own.mappings) {
      if (mapping.time_ns >= task.time_ns && mapping.time_ns < until) mapped.push_back(mapping);
    }
    if (mapped.empty()) {  // not told: nothing can be said of this image
      if (process(task.pid) != nullptr) forget(task.pid);
      return;
    }
    const mm::AddressSpace::Layout layout = layout_of_image(mapped, first_break);
    const auto found = known_.find(task.pid);
    mm::Pid pid = 0;
    if (found == known_.end()) {
      pid = machine_->start(layout).pid();
      ++out_.processes;
    } else {
      pid = found->second.pid;
      machine_->exec(pid, layout);
    }
    mm::Process& image = machine_->process(pid);
    const mm::FaultCounters before = image.faults();
    image.run([&](mm::AddressSpace& space) {
      space.set_capabilities({.ipc_lock = true, .sys_admin = true, .sys_rawio = true});
      map_image(space, mapped, task.pid, files_);
    });
    touch_strings(image, task.pid, task.time_ns, next);
    known_[task.pid] = {pid, before, task.time_ns, task.time_ns};
    ++out_.images;
  }

  // execve puts the strings of argv and envp into the new stack before the image exists, which no event tells (copy_strings()
  // in fs/exec.c). The recorder knows where they begin for images it entered; for others the topmost page is theirs at least.
  void touch_strings(mm::Process& image, Pid pid, std::uint64_t from_ns, std::uint64_t until_ns) const {
    std::uint64_t start = 0, end = 0;
    image.space().vmas().for_each([&](const mm::Vma& vma) {
      if (vma.flags & mm::kVmGrowsDown) start = vma.start, end = vma.end;
    });
    if (end == 0) return;
    std::uint64_t lowest = end - kPageSize;
    for (const trace::ProcessInfo& info : recording_.processes()) {
      const bool this_image = info.pid == pid && info.start_ns + kSameMomentNs >= from_ns && info.start_ns < until_ns;
      if (this_image && info.arg_start >= start && info.arg_start < end) lowest = page_floor(info.arg_start);
    }
    for (std::uint64_t page = lowest; page < end; page += kPageSize) (void)image.access(VirtAddr(page), true);
  }

  void forget(Pid pid) {
    machine_->exit(known_.at(pid).pid);
    known_.erase(pid);
  }

  void exit(Pid pid) {
    if (known_.contains(pid)) forget(pid);
  }

  // The file behind an mmap with a descriptor, by the kernel's record of the same mapping.
  FileChoice file_of(Pid pid, const KernelRun::OfProcess& own, const trace::MemoryCall& call) {
    const bool attach = call.kind == trace::CallKind::shmat;
    if (!attach && (call.kind != trace::CallKind::mmap || (call.args[3] & mm::kMapAnonymous) != 0)) return {};
    const auto result = static_cast<std::uint64_t>(call.result);
    auto at = std::partition_point(own.mappings.begin(), own.mappings.end(), [&](const trace::MappingEvent& m) { return m.time_ns < call.begin_ns; });
    for (; at != own.mappings.end() && at->time_ns <= call.end_ns; ++at) {
      if (at->start > result || result >= at->end) continue;
      if (attach) return files_.shared_segment(*at);
      const bool writable = (call.args[3] & mm::kMapShared) != 0 && (call.args[2] & mm::kProtWrite) != 0;
      return files_.choose(*at, pid, static_cast<std::int32_t>(call.args[4]), writable);
    }
    return files_.unknown();
  }

  // Another thread was inside a call of its own at the same time: which came first cannot be told.
  static bool concurrent(const KernelRun::OfProcess& own, std::size_t index) {
    const trace::MemoryCall& call = own.calls[index];
    auto overlaps = [&](const trace::MemoryCall& other) { return other.tid != call.tid && other.begin_ns <= call.end_ns && other.end_ns >= call.begin_ns; };
    constexpr std::size_t kNear = 64;  // as many threads may be inside at once
    for (std::size_t i = index; i-- > 0 && index - i <= kNear;) {
      if (overlaps(own.calls[i])) return true;
    }
    for (std::size_t i = index + 1; i < own.calls.size() && i - index <= kNear && own.calls[i].begin_ns <= call.end_ns; ++i) {
      if (overlaps(own.calls[i])) return true;
    }
    return false;
  }

  void call(const KernelStep& step) {
    mm::Process* actor = process(step.pid);
    if (actor == nullptr) return;
    const KernelRun::OfProcess& own = run_.processes.at(step.pid);
    const trace::MemoryCall& call = own.calls[step.index];
    if (call.begin_ns < known_.at(step.pid).start_ns) return;
    const FileChoice file = file_of(step.pid, own, call);
    const TwinAnswer answer = actor->run([&](mm::AddressSpace& space) { return make_call(space, call, file); });
    if (!answer.known) {
      ++out_.calls_not_modelled[trace::call_name(call.kind)];
      return;
    }
    ++out_.calls_total;
    if (same_answer(call, answer)) {
      ++out_.calls_matched;
      return;
    }
    actor->run([&](mm::AddressSpace& space) { force_result(space, call, answer, file); });
    if (concurrent(own, step.index)) {
      ++out_.calls_matched;
      ++out_.calls_concurrent;
      return;
    }
    if (out_.call_differences.size() < kKept) {
      out_.call_differences.push_back({step.time_ns, step.pid, call.tid, call_text(call), result_text(call.result), result_text(answer.value)});
    }
  }

  static bool is_write(const mm::AddressSpace& space, const trace::FaultEvent& fault) {
    if (fault.access != trace::FaultAccess::unknown) return fault.access == trace::FaultAccess::write;
    const mm::Vma* vma = space.vmas().containing(fault.address);
    return vma != nullptr && vma->anonymous() && vma->writable();
  }

  void fault(const KernelStep& step) {
    mm::Process* actor = process(step.pid);
    if (actor == nullptr) return;
    const trace::FaultEvent& fault = run_.processes.at(step.pid).faults[step.index];
    if (fault.time_ns < known_.at(step.pid).start_ns) return;
    ++out_.faults_total;
    const bool write = is_write(actor->space(), fault);
    if (looks_ != nullptr && write && step.pid == looks_->pid && fault.time_ns >= looks_->since_ns) note_copy(actor->space(), fault);
    const mm::Access met = actor->access(VirtAddr(fault.address), write);
    const auto page = std::make_pair(step.pid, page_floor(fault.address));
    const mm::Vma* under = actor->space().vmas().containing(fault.address);
    const bool in_file = under != nullptr && !under->anonymous();
    if (in_file) file_contention_.note(*under, step.pid, fault);
    if (met == mm::Access::minor_fault || met == mm::Access::major_fault) {
      ++out_.faults_matched;
      recent_[page] = {fault.time_ns, fault.tid};
      prune(fault.time_ns);
      return;
    }
    const auto recent = recent_.find(page);
    const bool just_came = recent != recent_.end() && recent->second.tid != fault.tid && fault.time_ns - recent->second.time_ns < kSameMomentNs;
    if (met == mm::Access::hit && (just_came || (in_file && file_contention_.at_once(*under, step.pid, fault)))) {
      ++out_.faults_matched;
      ++out_.faults_concurrent;
      return;
    }
    if (!in_file) ++out_.anonymous_faults_differ;
    if (out_.fault_differences.size() < kKept) {
      const char* kinds[] = {"unknown access", "read", "write", "execute"};
      out_.fault_differences.push_back({step.time_ns, step.pid, fault.tid,
                                        fmt::format("{} of {:#x}{}", kinds[static_cast<int>(fault.access)], fault.address, place_text(actor->space(), fault.address)),
                                        fault.kind == trace::FaultKind::major ? "major fault" : "minor fault",
                                        met == mm::Access::hit                ? "no fault"
                                        : met == mm::Access::out_of_memory ? "out of memory"
                                        : met == mm::Access::sigbus        ? "SIGBUS"
                                                                             : "SIGSEGV"});
    }
  }

  static std::string place_text(const mm::AddressSpace& space, std::uint64_t address) {
    const mm::Vma* vma = space.vmas().containing(address);
    if (vma == nullptr) return ", not mapped";
    return fmt::format(" in {:x}-{:x}, {}", vma->start, vma->end, vma->anonymous() ? "anonymous" : "a file");
  }

  void prune(std::uint64_t now_ns) {
    if (now_ns < next_prune_ns_) return;
    next_prune_ns_ = now_ns + 10 * kSameMomentNs;
    std::erase_if(recent_, [&](const auto& entry) { return entry.second.time_ns + kSameMomentNs < now_ns; });
  }

  void check(const trace::ProcessInfo& info) {
    if (!compare_maps(info, info.exit_maps)) return;
    const mm::Process& actor = *process(info.pid);
    const Known& known = known_.at(info.pid);
    out_.minor_predicted += actor.faults().minor - known.at_start.minor;
    out_.major_predicted += actor.faults().major - known.at_start.major;
    out_.minor_observed += info.minor_faults;
    out_.major_observed += info.major_faults;
  }

  // text: as /proc/PID/maps, or smaps with what is resident. False: there is nothing to compare.
  bool compare_maps(const trace::ProcessInfo& info, const std::string& text) {
    const mm::Process* actor = process(info.pid);
    const std::vector<Mapping> recorded = parse_smaps(text);
    if (actor == nullptr || recorded.empty()) return false;
    MapsCheck result = check_maps(actor->space(), recorded, info.recorder_ranges);
    ++out_.maps_compared;
    if (result.equal) ++out_.maps_equal;
    out_.mappings_compared += result.mappings;
    out_.mappings_equal += result.resident_equal;
    out_.resident_bytes += result.resident_bytes;
    out_.resident_bytes_differ += result.resident_bytes_differ;
    out_.recorder_mappings += result.recorder;
    out_.anonymous_mappings_differ += result.anonymous_differ;
    for (MappingDifference& difference : result.differences) {
      if (out_.map_differences.size() == kKept) break;
      difference.pid = info.pid;
      out_.map_differences.push_back(std::move(difference));
    }
    return true;
  }
};

}  // namespace

bool Follow::holds() const {
  constexpr std::uint64_t kOneIn = 200;
  const bool calls = calls_matched == calls_total && maps_equal == maps_compared;
  const bool faults = anonymous_faults_differ == 0 && (faults_total - faults_matched) * kOneIn <= faults_total;
  const bool resident = anonymous_mappings_differ == 0 && resident_bytes_differ * kOneIn <= resident_bytes;
  return possible && calls && (faults || !accesses_known) && (resident || !residency_known);
}

Follow follow(trace::Recording& recording, MemoryLooks* looks) { return Follower(recording, looks).follow(); }

}  // namespace faultline::replay
