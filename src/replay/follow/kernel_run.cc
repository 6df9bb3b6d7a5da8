#include "replay/follow/kernel_run.h"

#include <algorithm>
#include <set>

namespace faultline::replay {

bool takes_effect_at_begin(const trace::MemoryCall& call) {
  switch (call.kind) {
    case trace::CallKind::mmap:
    case trace::CallKind::mremap:
    case trace::CallKind::brk:
      return false;
    default:
      return true;
  }
}

KernelRun read_kernel_run(trace::Recording& recording) {
  using Kind = KernelStep::Kind;
  KernelRun run;
  run.tasks = recording.tasks();
  auto add = [&](std::uint64_t time_ns, trace::Pid pid, Kind kind, std::size_t index) {
    run.steps.push_back({time_ns, pid, kind, static_cast<std::uint32_t>(index)});
  };
  std::set<trace::Pid> pids;
  for (std::size_t i = 0; i < run.tasks.size(); ++i) {
    const trace::TaskEvent& task = run.tasks[i];
    pids.insert(task.pid);
    const Kind kind = task.kind == trace::TaskKind::fork ? Kind::fork : task.kind == trace::TaskKind::exec ? Kind::exec : Kind::exit;
    add(task.time_ns, task.pid, kind, i);
  }
  std::size_t number = 0;
  for (const trace::ProcessInfo& process : recording.processes()) {
    pids.insert(process.pid);
    if (process.exit_seen && process.exit_report_ns != 0) add(process.exit_report_ns, process.pid, Kind::check, number);
    if (process.start_report_ns != 0) add(process.start_report_ns, process.pid, Kind::check_start, number);
    ++number;
  }
  for (const trace::Pid pid : pids) {
    KernelRun::OfProcess& process = run.processes[pid];
    process.calls = recording.calls_of_all_images(pid);
    process.faults = recording.faults_of_all_images(pid);
    process.mappings = recording.mapping_events(pid);
    for (std::size_t i = 0; i < process.calls.size(); ++i) {
      const trace::MemoryCall& call = process.calls[i];
      add(takes_effect_at_begin(call) ? call.begin_ns : call.end_ns, pid, Kind::call, i);
    }
    for (std::size_t i = 0; i < process.faults.size(); ++i) add(process.faults[i].time_ns, pid, Kind::fault, i);
  }
  // Equal times: births first, ends last (the enum's order), then as recorded.
  std::stable_sort(run.steps.begin(), run.steps.end(), [](const KernelStep& x, const KernelStep& y) {
    return x.time_ns != y.time_ns ? x.time_ns < y.time_ns : x.kind < y.kind;
  });
  return run;
}

}  // namespace faultline::replay
