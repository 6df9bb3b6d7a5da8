// faultline record [-o FILE] -- CMD...: records CMD and ends as CMD ended.
#include "record/recorder.h"

#include "record/exact_references.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cstdio>
#include <exception>

#include "cli/command.h"
#include "cli/version.h"

namespace faultline::cli {
namespace {

std::string size_text(std::uint64_t bytes) {
  if (bytes < 10 * 1024) return fmt::format("{} B", bytes);
  if (bytes < 10 * 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

// Ends this process as the command ended: whoever waits for us sees the same status. A command killed by a signal is passed on
// by the same signal; 128 + signal where that is not possible.
int end_as(int wait_status) {
  if (WIFEXITED(wait_status)) return WEXITSTATUS(wait_status);
  const int number = WTERMSIG(wait_status);
  const rlimit no_core{0, 0};  // the command's own core dump, if any, is the one that matters
  setrlimit(RLIMIT_CORE, &no_core);
  std::fflush(nullptr);
  signal(number, SIG_DFL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  sigprocmask(SIG_UNBLOCK, &one, nullptr);
  raise(number);
  return 128 + number;
}

class RecordCommand : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("-o,--output", options_.output, "where to write (default: faultline.COMMAND.PID.fl)");
    app.add_flag("!--no-stacks", options_.stacks, "no call stacks");
    app.add_flag("!--no-faults", options_.faults, "no page faults");
    app.add_flag("!--no-fault-access", options_.fault_access, "not whether page faults were reads or writes");
    app.add_option("--calls", calls_, "memory calls: exact (kernel tracepoints, else ptrace: slow), ptrace, wrapped (through the dynamic symbols), none;\n"
                   "auto: tracepoints, else wrapped")
        ->check(CLI::IsMember({"auto", "exact", "ptrace", "wrapped", "none"}));
    app.add_option("--allocator", allocator_, "own: what the program links; glibc: forward to libc's malloc instead")
        ->check(CLI::IsMember({"own", "glibc"}));
    app.add_flag("--turns", options_.turns, "threads take turns in malloc, so that the recording tells the order of their calls\n"
                 "(for verify and whatif on threads that allocate at once; costs such programs time)");
    app.add_option("--references", references_, "exact: instead of a recording, every page the command touches, as a reference stream\n"
                   "(under Valgrind, some hundred times slower; for limits and miss curves)")
        ->check(CLI::IsMember({"exact"}));
    app.add_flag("-q,--quiet", quiet_, "no summary at the end");
    app.prefix_command();  // "record ls -l": the -l is CMD's even without --
    app_ = &app;
    app.footer("CMD follows the options, after --. The exit status is CMD's.");
  }

  bool takes_program() const override { return true; }

  Result<int> run() override {
    const std::vector<std::string> words = app_->remaining();
    if (!program_.empty() && !words.empty()) return fail(make_error("unknown option '{}' before --; the command's own go after it", words.front()));
    if (!words.empty() && words.front().starts_with('-')) return fail(make_error("unknown option '{}'", words.front()));
    options_.command = program_.empty() ? words : program_;
    if (app_->count("--output") > 0 && options_.output.empty()) return fail(make_error("--output: wanted a file name, found an empty word"));
    if (options_.command.empty()) return fail(make_error("wanted a command to run, found none: faultline record [-o FILE] -- CMD..."));
    if (!references_.empty()) return run_references();
    options_.tool_version = kVersion;
    options_.allocator_glibc = allocator_ == "glibc";
    using Calls = record::RecordOptions::Calls;
    constexpr std::pair<const char*, Calls> kWays[] = {{"exact", Calls::exact}, {"ptrace", Calls::ptrace}, {"wrapped", Calls::wrapped}, {"none", Calls::none}};
    for (const auto& [name, way] : kWays) {
      if (calls_ == name) options_.calls = way;
    }
    if (!quiet_) options_.notice = [](const std::string& line) { fmt::print(stderr, "faultline: {}\n", line); };
    FL_TRY(const record::RecordSummary summary, record::record(options_));
    try {
      if (!summary.failure.empty()) fmt::print(stderr, "faultline: {}\n", summary.failure);
      if (!quiet_) print(summary);
    } catch (const std::exception&) {
      // No standard error to write to: the program's own exit status matters more than our summary.
    }
    return end_as(summary.wait_status);
  }

 private:
  Result<int> run_references() {
    FL_TRY(const record::ReferenceRecordSummary summary, record::record_references({options_.output, options_.command, 0}));
    try {
      if (!summary.failure.empty()) fmt::print(stderr, "faultline: {}\n", summary.failure);
      if (!quiet_) {
        for (const std::string& line : summary.remarks) fmt::print(stderr, "faultline: not in it: {}\n", line);
        fmt::print(stderr, "faultline: {}: {} references as {} touches of pages and {} calls of {} process{}, {}\n", summary.path,
                   summary.touches + summary.dropped, summary.touches, summary.calls, summary.processes, summary.processes == 1 ? "" : "es",
                   size_text(summary.file_bytes));
        fmt::print(stderr, "faultline: next: faultline info {}\n", summary.path);
      }
    } catch (const std::exception&) {
      // As below.
    }
    return end_as(summary.wait_status);
  }

  static void print(const record::RecordSummary& summary) {
    for (const std::string& line : summary.meta.missing) fmt::print(stderr, "faultline: not recorded: {}\n", line);
    fmt::print(stderr, "faultline: {}: {} malloc events, {} faults, {} memory calls of {} process{} in {:.2f} s, {}\n", summary.path,
               summary.heap_events, summary.faults, summary.calls, summary.processes, summary.processes == 1 ? "" : "es",
               static_cast<double>(summary.meta.wall_ns) / 1e9, size_text(summary.file_bytes));
    fmt::print(stderr, "faultline: next: faultline report {}\n", summary.path);
  }

  record::RecordOptions options_;
  std::string calls_ = "auto", allocator_ = "own", references_;
  bool quiet_ = false;
  CLI::App* app_ = nullptr;
};

}  // namespace

FL_REGISTER_COMMAND(RecordCommand, "record", "record CMD (its threads and children); exits with CMD's status");

}  // namespace faultline::cli
