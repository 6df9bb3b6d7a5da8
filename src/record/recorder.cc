#include "record/recorder.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "record/call_tracer.h"
#include "record/child.h"
#include "record/collector.h"
#include "record/machine_costs.h"
#include "record/memory_limit.h"
#include "record/perf_calls.h"
#include "record/reconciliation.h"
#include "record/signals.h"
#include "record/target.h"
#include "trace/process_text.h"

namespace faultline::record {

namespace {

std::string cpu_model() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown processor";
}

trace::Meta first_meta(const RecordOptions& options) {
  trace::Meta meta;
  meta.tool_version = options.tool_version;
  meta.command = options.command;
  meta.turns = options.turns;
  utsname system{};
  if (uname(&system) == 0) meta.kernel_release = system.release;
  meta.machine = cpu_model();
  return meta;
}

std::string default_output(const std::vector<std::string>& command) {
  const std::string& path = command.front();
  const std::size_t slash = path.rfind('/');
  return fmt::format("faultline.{}.{}.fl", slash == std::string::npos ? path : path.substr(slash + 1), getpid());
}

// A perf event per CPU and tracepoint is more than the usual soft limit of 1024 on a large machine. The command keeps its own.
void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

std::uint64_t nanoseconds(const timeval& t) {
  return static_cast<std::uint64_t>(t.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(t.tv_usec) * 1000;
}

using Calls = RecordOptions::Calls;

// By the best means permitted. Never by ptrace unless asked for: it slows every system call of the program.
Result<void> attach_calls(pid_t pid, const RecordOptions& options, const KernelTracepoints& tracepoints, Collector::Sources& sources, trace::Meta& meta) {
  const Calls wanted = options.calls;
  if (wanted == Calls::wrapped || wanted == Calls::none) {
    meta.calls_by = wanted == Calls::none ? "none" : "wrapped";
    meta.missing.push_back(wanted == Calls::none ? "memory calls: --calls none" : "memory calls inside libc: --calls wrapped");
    return {};
  }
  std::string refusal;
  if (wanted != Calls::ptrace) {
    if (auto captured = PerfCalls::attach(pid, tracepoints)) {
      sources.calls = std::move(*captured);
      meta.calls_by = "tracepoints";
    } else {
      refusal = captured.error().message();
    }
  }
  if (sources.calls == nullptr && wanted != Calls::automatic) {
    auto captured = CallTracer::attach(pid);
    if (!captured) return fail(make_error("--calls {}: {}{}{}", wanted == Calls::exact ? "exact" : "ptrace", refusal, refusal.empty() ? "" : "; ", captured.error().message()));
    sources.calls = std::move(*captured);
    meta.calls_by = "ptrace";
    if (options.notice) options.notice(fmt::format("memory calls by ptrace{}: every system call of the program stops twice, which takes some 30 us", refusal.empty() ? "" : ", as " + refusal));
  }
  meta.calls_exact = sources.calls != nullptr;
  if (!meta.calls_exact) {
    meta.calls_by = "wrapped";
    meta.missing.push_back(fmt::format("memory calls inside libc: {}; --calls exact sees them through ptrace, slowly", refusal));
  }
  return {};
}

Result<Collector::Sources> attach(Listener listener, pid_t pid, const RecordOptions& options, trace::Meta& meta) {
  const KernelTracepoints tracepoints = read_tracepoints();
  Collector::Sources sources{std::move(listener), {}, {}, {}};
  // First: it needs little of what an unprivileged user may lock in memory; the faults take all they can get.
  sources.tasks = PerfTasks::attach(pid, tracepoints);
  meta.mappings_recorded = sources.tasks.recorded();
  if (options.faults) {
    sources.faults = PerfFaults::attach(pid, options.fault_access ? &tracepoints : nullptr);
    meta.faults_recorded = sources.faults.recorded();
    meta.kernel_mode_faults = sources.faults.kernel_mode();
    meta.fault_access = sources.faults.access_known();
    if (!sources.faults.missing().empty()) meta.missing.push_back(sources.faults.missing());
    if (meta.kernel_mode_faults && !meta.fault_access) {
      meta.missing.push_back(options.fault_access ? "whether a page fault was a read or a write: tracepoints are not permitted"
                                                  : "whether a page fault was a read or a write: --no-fault-access");
    }
  } else {
    meta.missing.push_back("page faults: --no-faults");
  }
  if (Result<void> attached = attach_calls(pid, options, tracepoints, sources, meta); !attached) return fail(attached.error());
  return sources;
}

// Why no program reported, as far as can be told from outside.
void note_silence(const Target& target, Collector& collector, trace::Meta& meta) {
  if (!collector.refused().empty()) meta.missing.push_back("malloc events: " + collector.refused());
  if (collector.processes().any_image() || !collector.refused().empty()) return;
  if (target.missing.empty()) {
    meta.missing.push_back("malloc events: no program reported: it ended before its first malloc, or loads no libraries "
                           "(static, setuid, its own loader, or LD_PRELOAD removed)");
  }
}

}  // namespace

Result<RecordSummary> record(const RecordOptions& options) {
  FL_TRY(const Target target, find_target(options.command.front()));
  FL_TRY(const std::string shim, find_shim());
  FL_TRY(Listener listener, Listener::open());
  RecordSummary summary;
  summary.path = options.output.empty() ? default_output(options.command) : options.output;
  // A file size limit of nearly nothing must be an error, not a death; the command inherits what we had.
  const auto file_size_signal = signal(SIGXFSZ, SIG_IGN);
  auto created = trace::BlockWriter::create(summary.path);
  signal(SIGXFSZ, file_size_signal);
  FL_TRY(trace::BlockWriter writer, std::move(created));
  auto abandon = [&](const Error& error) {  // nothing ran: leave no empty recording behind
    unlink(summary.path.c_str());
    return fail(error);
  };

  std::string shim_options = options.stacks ? "stacks=1" : "stacks=0";
  if (options.allocator_glibc) shim_options += ",allocator=glibc";
  if (options.turns) shim_options += ",turns=1";
  const TimeBase time;
  auto child = Child::spawn(target.path, options.command, child_environment(shim, listener.name(), shim_options));
  if (!child) return abandon(child.error());
  const SignalsDuringRecording signals(child->pid());
  raise_descriptor_limit();
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child->pid(), 0)));
  auto cancel = [&](const Error& error) {
    child->cancel();
    return abandon(error);
  };
  if (!pidfd) return cancel(make_error("cannot watch process {}: {}", child->pid(), std::strerror(errno)));

  trace::Meta& meta = summary.meta;
  meta = first_meta(options);
  meta.missing = target.missing;
  meta.clock_zero_ns = time.zero_raw_ns();
  meta.memory_limit_bytes = memory_limit_bytes();
  auto sources = attach(std::move(listener), child->pid(), options, meta);
  if (!sources) return cancel(sources.error());
  writer.append_text(trace::BlockKind::meta, 0, 0, to_json(meta));

  ChildUsage usage;
  FaultCounters before, after;
  std::size_t still_running = 0;
  std::uint64_t released_ns = 0;
  std::vector<ProcImage> images;
  RecorderCounts counts;
  {
    BlockQueue queue(writer);
    Collector collector(std::move(*sources), child->pid(), options.command, meta.calls_by == "wrapped", time, queue);
    before = read_fault_counters(child->pid());
    released_ns = time.now_ns();
    if (Result<void> released = child->release(); !released) {
      collector.stop_tracing();
      child->cancel();
      return abandon(make_error("{}: {}", target.path, released.error().message()));
    }
    collector.run(pidfd.get());
    after = read_fault_counters(child->pid());
    meta.wall_ns = time.now_ns() - released_ns;
    while (!child->ended(usage)) usleep(100);
    still_running = collector.finish();
    queue.finish();
    const Collector::Sources& seen = collector.sources();
    counts = {seen.faults.lost(), seen.calls != nullptr ? seen.calls->lost() : 0, seen.tasks.lost()};
    if (seen.calls != nullptr) {
      const std::vector<std::string> left_out = seen.calls->left_out();
      meta.missing.insert(meta.missing.end(), left_out.begin(), left_out.end());
      if (meta.calls_by == "ptrace" && !left_out.empty()) meta.calls_exact = false;  // it let go of a thread, and does not say since when
    }
    images = collector.processes().finished();
    for (ProcImage& image : images) {
      image.minor_of_pid = collector.processes().history(image.pid).minor_recorded;
      image.major_of_pid = collector.processes().history(image.pid).major_recorded;
    }
    note_silence(target, collector, meta);
    close_events_in_background();
  }
  if (still_running > 0) {
    meta.missing.push_back(fmt::format("{} process{} still ran when the command ended: recorded up to there", still_running,
                                       still_running == 1 ? "" : "es"));
  }
  meta.user_ns = nanoseconds(usage.usage.ru_utime);
  meta.system_ns = nanoseconds(usage.usage.ru_stime);
  meta.costs = measure_machine_costs();
  const MainEnd end{child->pid(), usage.wait_status, {after.minor - std::min(after.minor, before.minor), after.major - std::min(after.major, before.major)}};
  summary.wait_status = usage.wait_status;
  write_end(writer, summary.path, images, end, counts, summary);
  summary.failure = writer.failure();
  summary.file_bytes = writer.file_bytes();
  return summary;
}

}  // namespace faultline::record
