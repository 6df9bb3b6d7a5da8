#include "record/exact_references.h"

#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

#include "record/child.h"
#include "record/lackey_processes.h"
#include "record/log_socket.h"
#include "record/signals.h"
#include "record/target.h"
#include "trace/references/reference_writer.h"
#include "trace/references/repeat_filter.h"

namespace faultline::record {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kFlushEvery = std::chrono::seconds(1);  // what a killed recorder loses

std::string default_output(const std::vector<std::string>& command) {
  const std::string& path = command.front();
  return fmt::format("faultline.{}.{}.refs", path.substr(path.rfind('/') + 1), getpid());
}

std::vector<std::string> valgrind_words(const std::string& valgrind, const std::string& program, const std::vector<std::string>& command, int log) {
  std::vector<std::string> words{valgrind,
                                 "--command-line-only=yes",  // no options from ~/.valgrindrc or the environment
                                 "--tool=lackey", "--basic-counts=no", "--trace-mem=yes", "--trace-syscalls=yes", "--trace-children=yes",
                                 "--vgdb=no",  // no fifos in /tmp
                                 "--run-libc-freeres=no", "--run-cxx-freeres=no",  // nothing the command would not do
                                 fmt::format("--log-fd={}", log), "--", program};
  words.insert(words.end(), command.begin() + 1, command.end());
  return words;
}

// From what was written to the file.
class Pipeline {
 public:
  Pipeline(LackeyProcesses& processes, trace::ReferenceWriter& writer, std::uint32_t window)
      : processes_(processes), writer_(writer), filter_(window), flushed_(Clock::now()) {}

  void step(bool last = false) {
    for (const trace::ReferenceEvent& event : processes_.events()) filter_.add(event, kept_);
    processes_.events().clear();
    const bool flush = last || Clock::now() - flushed_ > kFlushEvery;
    if (flush) filter_.flush(kept_);
    if (kept_.empty() && !flush) return;
    processes_.set_dropped(filter_.dropped());
    if (writer_.failure().empty()) writer_.add(kept_, processes_);  // a full disk: the command goes on without us
    kept_.clear();
    if (!flush) return;
    if (writer_.failure().empty()) writer_.flush();
    flushed_ = Clock::now();
  }

 private:
  LackeyProcesses& processes_;
  trace::ReferenceWriter& writer_;
  trace::RepeatFilter filter_;
  std::vector<trace::ReferenceEvent> kept_;
  Clock::time_point flushed_;
};

// Everything until the command has ended and what it wrote is read. How many of its processes still run.
std::size_t follow(LogSocket& log, Child& child, int pidfd, LackeyProcesses& processes, Pipeline& pipeline, ChildUsage& usage) {
  bool ended = false;
  for (;;) {
    const LogSocket::Piece piece = log.read();
    if (!piece.text.empty()) {
      processes.feed(piece.pid, piece.text);
      pipeline.step();
      continue;
    }
    if (piece.ended) break;
    if (ended) break;  // nothing left of it to read
    ended = child.ended(usage);
    if (ended) continue;  // once more: what it wrote last
    pollfd wanted[2] = {{log.reader(), POLLIN, 0}, {pidfd, POLLIN, 0}};
    poll(wanted, 2, 200);
    pipeline.step();
  }
  while (!ended && !(ended = child.ended(usage))) usleep(100);
  return processes.still_running(child.pid());
}

}  // namespace

Result<ReferenceRecordSummary> record_references(const ReferenceOptions& options) {
  FL_TRY(const Target target, find_target(options.command.front()));
  const auto valgrind = find_target("valgrind");
  if (!valgrind) return fail(make_error("--references exact runs the command under Valgrind, and valgrind is not on PATH: install Debian's package 'valgrind'"));
  FL_TRY(LogSocket log, LogSocket::open());
  ReferenceRecordSummary summary;
  summary.path = options.output.empty() ? default_output(options.command) : options.output;
  const std::uint32_t window = options.window != 0 ? options.window : trace::kDefaultWindow;
  FL_TRY(auto writer, trace::ReferenceWriter::create(summary.path, {"valgrind", fmt::format("{}", fmt::join(options.command, " ")), window, true}));

  std::vector<std::string> environment;
  for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
  auto child = Child::spawn(valgrind->path, valgrind_words(valgrind->path, target.path, options.command, log.writer()), environment);
  if (!child) {
    unlink(summary.path.c_str());
    return fail(child.error());
  }
  const SignalsDuringRecording signals(child->pid());
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  log.close_writer();
  if (Result<void> released = child->release(); !released) {
    child->cancel();
    unlink(summary.path.c_str());
    return fail(make_error("{}: {}", valgrind->path, released.error().message()));
  }
  const Fd pidfd(static_cast<int>(syscall(SYS_pidfd_open, child->pid(), 0)));
  LackeyProcesses processes(child->pid(), static_cast<int>(limit.rlim_cur - (limit.rlim_cur == limit.rlim_max ? 12 : 0)));
  Pipeline pipeline(processes, writer, window);
  ChildUsage usage;
  const std::size_t running = follow(log, *child, pidfd.get(), processes, pipeline, usage);
  processes.finish(running);
  pipeline.step(true);
  if (writer.failure().empty()) writer.finish(processes);
  if (running > 0) log.drain_in_background();
  summary.wait_status = usage.wait_status;
  summary.file_bytes = writer.file_bytes();
  summary.touches = writer.touches();
  summary.calls = writer.events() - writer.touches();
  summary.dropped = processes.dropped();
  summary.processes = processes.processes().size();
  summary.remarks = processes.remarks();
  summary.failure = writer.failure();
  return summary;
}

}  // namespace faultline::record
