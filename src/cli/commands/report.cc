// faultline report FILE: where memory and page faults come from, what is retained, what it costs, what to change.
// faultline report [FILE] --diff A B: two moments of FILE, or two recordings, beside each other.
#include <fmt/format.h>

#include <cstdio>
#include <functional>

#include "cli/command.h"
#include "report/json.h"
#include "report/ledger_diff_report.h"
#include "report/terminal.h"
#include "trace/cut_recording.h"

namespace faultline::cli {
namespace {

class Report : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording");
    app.add_option("--top", top_, "how many sites to show")->capture_default_str()->check(CLI::Range(1, 10000));
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    CLI::Option* const heap = app.add_flag("--heap", heap_, "replay malloc to say what its heaps hold and who pins it, however many events (default: up to 10 million)");
    app.add_flag("--no-heap", no_heap_, "do not")->excludes(heap);
    CLI::Option* const at = app.add_option("--at", at_, "resident memory at this moment, besides peak and end: seconds since the process began (1.5), 250ms, or a share of its life (40%); may be repeated")->allow_extra_args(false);
    app.add_option("--diff", diff_, "what changed in resident memory: between two moments of FILE (--diff 20% peak), or without FILE between two recordings, "
                   "at their peaks or at a moment each (--diff old.fl new.fl, --diff old.fl@end new.fl@end)")->expected(2)->allow_extra_args(false)->excludes(at);
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    if (!diff_.empty()) return run_diff();
    if (file_.empty()) return fail(make_error("wanted a recording, or --diff with two"));
    FL_TRY(const analyze::AnalysisRequest request, this->request());
    FL_TRY(const report::Report result, with_process<report::Report>(file_, [&](trace::Recording& recording, const trace::ProcessInfo& process) {
             return report::build_report(recording, process, file_, top_, request);
           }));
    fmt::print("{}", json_ ? report::render_json(result) : report::render_terminal(result, report::style_of_stdout()));
    return kDone;
  }

 private:
  std::string file_;
  std::size_t top_ = 10;
  trace::Pid pid_ = 0;
  std::vector<std::string> at_, diff_;
  bool json_ = false;
  bool heap_ = false, no_heap_ = false;

  Result<analyze::AnalysisRequest> request() const {
    analyze::AnalysisRequest request = bare_request();
    std::vector<std::string> moments = {"peak", "end"};
    moments.insert(moments.end(), at_.begin(), at_.end());
    for (const std::string& text : moments) {
      FL_TRY(analyze::LedgerMoment moment, analyze::parse_moment(text));
      request.ledgers.push_back(std::move(moment));
    }
    return request;
  }
  analyze::AnalysisRequest bare_request() const {
    analyze::AnalysisRequest request;
    if (no_heap_) request.heap = analyze::HeapDetail::never;
    if (heap_) request.heap = analyze::HeapDetail::always;
    return request;
  }

  // The answer of `ask` for the process wanted; once more where reading met damage, without what lies beyond it.
  template <typename Answer>
  Result<Answer> with_process(const std::string& file, const std::function<Answer(trace::Recording&, const trace::ProcessInfo&)>& ask) const {
    FL_TRY(std::unique_ptr<trace::Recording> recording, trace::open_complete(file));
    for (;;) {
      const std::uint64_t complete = recording->complete_until_ns();
      const trace::ProcessInfo* process = pid_ != 0 ? recording->process(pid_) : recording->main_process();
      if (process == nullptr) return fail(no_process(file, *recording));
      Answer answer = ask(*recording, *process);
      if (const std::uint64_t found = recording->complete_until_ns(); found < complete) {
        recording = trace::cut_recording(std::move(recording), found);
        continue;
      }
      return answer;
    }
  }

  Result<int> run_diff() const {
    report::LedgerDiffReport result;
    if (file_.empty()) {
      FL_TRY(result.before, side(diff_[0]));
      FL_TRY(result.after, side(diff_[1]));
    } else {
      FL_TRY(auto sides, sides_of(file_, diff_));
      result.before = std::move(sides[0]);
      result.after = std::move(sides[1]);
    }
    result.diff = analyze::diff_of(result.before.ledger, result.after.ledger);
    if (result.diff.sites.size() > top_) result.diff.sites.resize(top_);
    if (result.diff.files.size() > top_) result.diff.files.resize(top_);
    fmt::print("{}", json_ ? report::render_json(result) : report::render_terminal(result, report::style_of_stdout()));
    return kDone;
  }

  // "FILE" or "FILE@MOMENT".
  Result<report::LedgerDiffSide> side(const std::string& text) const {
    const std::size_t at = text.rfind('@');
    const bool moment = at != std::string::npos && analyze::parse_moment(text.substr(at + 1)).has_value();
    FL_TRY(auto sides, sides_of(moment ? text.substr(0, at) : text, {moment ? text.substr(at + 1) : "peak"}));
    return std::move(sides.front());
  }

  Result<std::vector<report::LedgerDiffSide>> sides_of(const std::string& file, const std::vector<std::string>& moments) const {
    analyze::AnalysisRequest request = bare_request();
    for (const std::string& text : moments) {
      FL_TRY(analyze::LedgerMoment moment, analyze::parse_moment(text));
      request.ledgers.push_back(std::move(moment));
    }
    FL_TRY(analyze::LedgerSeries series, with_process<analyze::LedgerSeries>(file, [&](trace::Recording& recording, const trace::ProcessInfo& process) {
             return analyze::analyze(recording, process, file, request).ledger;
           }));
    if (!series.why_not.empty()) return fail(make_error("{}: no ledger: {}", file, series.why_not));
    for (const analyze::Ledger& ledger : series.ledgers) {
      if (!ledger.there && !series.only_end_why.empty()) return fail(make_error("{}: wanted {}, only the end is known: {}", file, ledger.when, series.only_end_why));
    }
    std::vector<report::LedgerDiffSide> sides;
    for (analyze::Ledger& ledger : series.ledgers) sides.push_back({file, ledger.when, std::move(ledger), series.heap_why_not});
    for (std::size_t i = 0; i < sides.size(); ++i) sides[i].when = moments[i];
    return sides;
  }

  Error no_process(const std::string& file, const trace::Recording& recording) const {
    std::string known;
    for (const trace::ProcessInfo& process : recording.processes()) known += fmt::format("{}{}", known.empty() ? "" : ", ", process.pid);
    if (known.empty()) return make_error("{}: wanted a recorded process, found none", file);
    if (pid_ == 0) return make_error("{}: no main process; choose one with --process (found {})", file, known);
    return make_error("{}: wanted process {}, found {}", file, pid_, known);
  }
};

}  // namespace

FL_REGISTER_COMMAND(Report, "report", "where memory and faults come from: totals, top sites, findings in plain words");

}  // namespace faultline::cli
