// faultline whatif FILE --set K=V ...: what one joint setting would change.
#include <fmt/format.h>

#include "analyze/placements.h"
#include "analyze/search_json.h"
#include "analyze/search_text.h"
#include "analyze/what_if.h"
#include "cli/command.h"
#include "replay/session.h"

namespace faultline::cli {
namespace {

using analyze::bytes_text;
using analyze::time_text;

class WhatIf : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    app.add_option("--set", settings_, "malloc setting NAME=VALUE, e.g. mmap_threshold=64M, or NAME=default to take away what the recorded run had (mallopt=default: its calls of mallopt), or a call the program would make: malloc_trim_every_ms=10000, malloc_trim_every_frees=100000 (repeatable; all apply together)")->required()->allow_extra_args(false);
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    FL_TRY(replay::Session session, replay::open_session(file_, pid_));
    FL_TRY(const analyze::WhatIf question, analyze::what_if(session.program, settings_));
    const replay::Verification verification = replay::verify(session.program);
    const replay::Prediction& before = verification.prediction;
    const replay::Prediction after = *analyze::predict(session.program, question);
    const analyze::ErrorBar error = analyze::error_bar(verification, question, after, session.program.costs);
    const std::string env = question.environment();
    std::vector<std::string> assumptions = question.assumptions;
    if (question.arena_estimate) assumptions.push_back(analyze::arena_estimate_text());
    if (json_) {
      nlohmann::ordered_json out;
      out["settings"] = settings_;
      out["env"] = env;
      out["code"] = question.code();
      out["baseline"] = analyze::to_json(before);
      out["predicted"] = analyze::to_json(after);
      out["error"] = analyze::error_json(verification, after, error);
      out["verified"] = verification.holds();
      out["estimate"] = question.arena_estimate;
      out["unpriced"] = question.unpriced;
      out["assumptions"] = assumptions;
      out["remarks"] = session.remarks;
      fmt::print("{}\n", out.dump(2));
      return kDone;
    }
    fmt::print("{:<34} {:>14} {:>14}\n", "", "as recorded", "predicted");
    row("minor faults", before.minor_faults(), after.minor_faults());
    row("  heap", before.heap_minor, after.heap_minor);
    row("  mmapped chunks", before.mmapped_minor, after.mmapped_minor);
    if (before.thread_heap_minor + after.thread_heap_minor != 0) row("  thread arenas", before.thread_heap_minor, after.thread_heap_minor);
    row("  rest (recorded)", before.rest_minor, after.rest_minor);
    fmt::print("{:<34} {:>14} {:>14}\n", "peak RSS", bytes_text(before.rss_peak_bytes), bytes_text(after.rss_peak_bytes));
    fmt::print("{:<34} {:>14} {:>14}\n", "RSS at exit", bytes_text(before.rss_end_bytes), bytes_text(after.rss_end_bytes));
    row("brk calls", before.calls.brk, after.calls.brk);
    row("mmap calls", before.calls.mmap, after.calls.mmap);
    row("munmap calls", before.calls.munmap, after.calls.munmap);
    row("mremap calls", before.calls.mremap, after.calls.mremap);
    row("madvise calls", before.calls.madvise, after.calls.madvise);
    fmt::print("{:<34} {:>14} {:>14}   {} saved\n", "cost of faults and calls", time_text(before.cost_ns), time_text(after.cost_ns),
               time_text(before.cost_ns - after.cost_ns));
    const bool fails = after.failed > before.failed;
    if (fails) fmt::print("{} allocations that succeeded would fail: the program would be another one, and nothing is saved by that\n", after.failed - before.failed);
    fmt::print("\nerror bar: minor faults ±{:.0f}, peak RSS ±{}, RSS at exit ±{} (verify: {}{})\n", error.minor_faults, bytes_text(static_cast<std::uint64_t>(error.rss_peak_bytes)),
               bytes_text(static_cast<std::uint64_t>(error.rss_end_bytes)), analyze::error_bar_text(verification), analyze::unseen_text(after));
    if (!verification.holds()) fmt::print("The twin does not reproduce the recorded run (faultline verify): take this with care.\n");
    for (const std::string& remark : session.remarks) fmt::print("note: {}\n", remark);
    for (const std::string& line : question.unpriced) fmt::print("not priced: {}\n", line);
    for (const std::string& assumption : assumptions) fmt::print("assumes: {}\n", assumption);
    if (fails) return kDone;  // no line to copy
    if (!env.empty()) fmt::print("{}\n", env);
    if (question.changes_program()) fmt::print("{}\n", question.code());
    return kDone;
  }

 private:
  std::string file_;
  trace::Pid pid_ = 0;
  std::vector<std::string> settings_;
  bool json_ = false;

  static void row(const char* what, std::uint64_t before, std::uint64_t after) { fmt::print("{:<34} {:>14} {:>14}\n", what, before, after); }
};

}  // namespace

FL_REGISTER_COMMAND(WhatIf, "whatif", "predict what a joint setting of malloc tunables would change");

}  // namespace faultline::cli
