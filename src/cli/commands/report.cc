// faultline report FILE: where memory and page faults come from, what is retained, what it costs, what to change.
#include <fmt/format.h>

#include <cstdio>

#include "cli/command.h"
#include "report/json.h"
#include "report/terminal.h"
#include "trace/cut_recording.h"

namespace faultline::cli {
namespace {

class Report : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    app.add_option("--top", top_, "how many sites to show")->capture_default_str()->check(CLI::Range(1, 10000));
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    CLI::Option* const heap = app.add_flag("--heap", heap_, "replay malloc to say what its heaps hold and who pins it, however many events (default: up to 10 million)");
    app.add_flag("--no-heap", no_heap_, "do not")->excludes(heap);
    app.add_option("--at", at_, "resident memory at this moment, besides peak and end: seconds since the process began (1.5), 250ms, or a share of its life (40%); may be repeated");
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    FL_TRY(const analyze::AnalysisRequest request, this->request());
    FL_TRY(std::unique_ptr<trace::Recording> recording, trace::open_complete(file_));
    for (;;) {
      const std::uint64_t complete = recording->complete_until_ns();
      const trace::ProcessInfo* process = pid_ != 0 ? recording->process(pid_) : recording->main_process();
      if (process == nullptr) return fail(no_process(*recording));
      const report::Report result = report::build_report(*recording, *process, file_, top_, request);
      if (const std::uint64_t found = recording->complete_until_ns(); found < complete) {  // reading met damage: once more, without what lies beyond it
        recording = trace::cut_recording(std::move(recording), found);
        continue;
      }
      fmt::print("{}", json_ ? report::render_json(result) : report::render_terminal(result, report::style_of_stdout()));
      return kDone;
    }
  }

 private:
  std::string file_;
  std::size_t top_ = 10;
  trace::Pid pid_ = 0;
  std::vector<std::string> at_;
  bool json_ = false;
  bool heap_ = false, no_heap_ = false;

  Result<analyze::AnalysisRequest> request() const {
    analyze::AnalysisRequest request;
    if (no_heap_) request.heap = analyze::HeapDetail::never;
    if (heap_) request.heap = analyze::HeapDetail::always;
    std::vector<std::string> moments = {"peak", "end"};
    moments.insert(moments.end(), at_.begin(), at_.end());
    for (const std::string& text : moments) {
      FL_TRY(analyze::LedgerMoment moment, analyze::parse_moment(text));
      request.ledgers.push_back(std::move(moment));
    }
    return request;
  }

  Error no_process(const trace::Recording& recording) const {
    std::string known;
    for (const trace::ProcessInfo& process : recording.processes()) known += fmt::format("{}{}", known.empty() ? "" : ", ", process.pid);
    if (known.empty()) return make_error("{}: wanted a recorded process, found none", file_);
    if (pid_ == 0) return make_error("{}: no main process; choose one with --process (found {})", file_, known);
    return make_error("{}: wanted process {}, found {}", file_, pid_, known);
  }
};

}  // namespace

FL_REGISTER_COMMAND(Report, "report", "where memory and faults come from: totals, top sites, findings in plain words");

}  // namespace faultline::cli
