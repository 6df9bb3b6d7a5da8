// faultline verify FILE: replay with the recorded settings; the twin beside reality, number by number.
#include <fmt/format.h>

#include <algorithm>

#include "analyze/search_json.h"
#include "analyze/search_text.h"
#include "cli/command.h"
#include "cli/follow_output.h"
#include "replay/follow/follow.h"
#include "replay/session.h"
#include "replay/verify.h"
#include "trace/cut_recording.h"

namespace faultline::cli {
namespace {

using analyze::bytes_text;
using analyze::to_json;
using replay::Pair;
using replay::Verification;

constexpr const char* kCallsMissing = "the recording does not hold the system calls libc makes (no tracepoints while recording)";
constexpr const char* kFaultsMissing = "the recording holds no fault events";
constexpr const char* kRssMissing = "the recorder did not see the process end";

class Verify : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    auto session = replay::open_session(file_, pid_);
    if (!session) return run_without_malloc(session.error());
    const Verification v = replay::verify(session->program);
    const replay::Follow f = replay::follow(*session->recording);
    // Streams that only following reads may be damaged where the heap's are not.
    auto& remarks = session->remarks;
    const auto& damage = session->recording->damage();
    const auto tells = [&](const std::string& remark) { return remark.starts_with(*damage); };
    if (damage && std::none_of(remarks.begin(), remarks.end(), tells)) remarks.push_back(*damage + "; what it held is missing on the recorded side");
    if (json_) {
      nlohmann::ordered_json out = malloc_json(*session, v);
      add_follow(out, f);
      out["holds"] = v.holds() && (!f.possible || f.holds());
      fmt::print("{}\n", out.dump(2));
    } else {
      print_text(*session, v);
      print_follow(f);
      for (const std::string& remark : session->remarks) fmt::print("\nnote: {}", remark);
      fmt::print("\n{}\n", verdict(&v, f));
    }
    return v.holds() && (!f.possible || f.holds()) ? kDone : kAnswerIsNo;
  }

 private:
  std::string file_;
  trace::Pid pid_ = 0;
  bool json_ = false;

  // A program whose malloc cannot be replayed (another allocator, static, forked) can still be followed in the kernel.
  Result<int> run_without_malloc(const Error& reason) const {
    auto recording = trace::open_complete(file_);
    if (!recording) return fail(reason);
    if (pid_ != 0 && (*recording)->process(pid_) == nullptr) return fail(reason);  // a number that is none of the recording's
    const replay::Follow f = replay::follow(**recording);
    if (!f.possible) return fail(reason);
    if (json_) {
      nlohmann::ordered_json out;
      out["malloc"] = nullptr;
      out["malloc_reason"] = reason.message();
      add_follow(out, f);
      out["holds"] = f.holds();
      fmt::print("{}\n", out.dump(2));
    } else {
      fmt::print("malloc is not replayed: {}\n", reason.message());
      print_follow(f);
      fmt::print("\n{}\n", verdict(nullptr, f));
    }
    return f.holds() ? kDone : kAnswerIsNo;
  }

  static void add_follow(nlohmann::ordered_json& out, const replay::Follow& f) {
    out["maps_equal"] = f.possible && f.maps_compared > 0 ? nlohmann::ordered_json(f.maps_equal == f.maps_compared) : nlohmann::ordered_json(nullptr);
    if (!f.possible) out["maps_equal_reason"] = f.reason;
    out["follow"] = follow_json(f);
  }

  // What was compared, and nothing beyond it. v: null where malloc was not replayed.
  static std::string verdict(const Verification* v, const replay::Follow& f) {
    if (v != nullptr && !v->holds()) {
      return "The twin does not reproduce this run: addresses and calls must be equal, faults and RSS within 3 % (or 5 faults).";
    }
    if (f.possible && !f.holds()) {
      return "The twin's kernel does not follow this run: calls, maps and anonymous memory must be equal, faults and resident bytes of files within 0.5 % (those hang on the page "
             "cache of the moment: a second recording, with everything cached, may hold).";
    }
    std::string text = v != nullptr ? "The twin reproduces this run" : "The twin's kernel follows this run; malloc was not compared";
    if (v != nullptr && !f.possible) text += "; its kernel side was not followed";
    if (f.possible && (!f.accesses_known || !f.residency_known)) text += "; faults and resident bytes of the kernel side were not judged";
    return text + ".";
  }

  static nlohmann::ordered_json malloc_json(const replay::Session& session, const Verification& v) {
    nlohmann::ordered_json out;
    out["malloc"] = {{"events", v.events},
                     {"addresses_matched", v.addresses_matched},
                     {"addresses_total", v.addresses_total}};
    if (v.calls_compared) {
      out["syscalls"] = {{"matched", v.calls_matched}, {"total", v.calls_total}};
    } else {
      out["syscalls"] = {{"matched", nullptr}, {"total", nullptr}, {"reason", kCallsMissing}};
    }
    nlohmann::ordered_json minor = to_json(v.minor);
    minor["heap"] = to_json(v.heap_minor);
    minor["mmapped_chunks"] = to_json(v.mmapped_minor);
    minor["thread_heaps"] = to_json(v.thread_heap_minor);
    minor["rest"] = to_json(v.rest_minor);
    minor["rest"]["recorded"] = true;  // taken over from the recording, not predicted
    if (!v.faults_compared) {
      hide_observed(minor);
      minor["reason"] = kFaultsMissing;
    }
    out["minor_faults"] = minor;
    out["major_faults"] = to_json(v.major);
    out["rss_peak_bytes"] = to_json(v.rss_peak);
    out["rss_peak_bytes"]["observed_resolution_bytes"] = v.rss_peak_resolution_bytes;
    out["rss_end_bytes"] = to_json(v.rss_end);
    if (!v.rss_compared) {
      for (const char* key : {"rss_peak_bytes", "rss_end_bytes"}) {
        out[key]["observed"] = nullptr;
        out[key]["reason"] = kRssMissing;
      }
    }
    out["first_divergence"] = nullptr;
    if (const auto& first = v.first_address ? v.first_address : v.first_call) {
      out["first_divergence"] = {{"event", first->event},       {"time_ns", first->time_ns},   {"tid", first->tid},
                                 {"operation", first->operation}, {"expected", first->expected}, {"got", first->got}};
    }
    out["remarks"] = session.remarks;
    return out;
  }

  static void hide_observed(nlohmann::ordered_json& minor) {
    minor["observed"] = nullptr;
    for (const char* part : {"heap", "mmapped_chunks", "thread_heaps", "rest"}) minor[part]["observed"] = nullptr;
  }

  static void print_text(replay::Session& session, const Verification& v) {
    fmt::print("{} heap events of {} (pid {})\n\n", v.events, session.process->exe, session.process->pid);
    fmt::print("{:<30} {:>14} {:>14}   {}\n", "", "twin", "recorded", "difference");
    exact("malloc addresses equal", v.addresses_matched, v.addresses_total);
    if (v.calls_compared) {
      exact("malloc's system calls equal", v.calls_matched, v.calls_total);
    } else {
      fmt::print("{:<30} {:>14} {:>14}   not compared: {}\n", "malloc's system calls", v.prediction.calls.total(), "-", kCallsMissing);
    }
    if (v.faults_compared) {
      compared("minor faults: heap", v.heap_minor);
      compared("minor faults: mmapped chunks", v.mmapped_minor);
      if (v.thread_heap_minor.predicted + v.thread_heap_minor.observed != 0) compared("minor faults: thread arenas", v.thread_heap_minor);
      fmt::print("{:<30} {:>14} {:>14}   recorded, not predicted\n", "minor faults: rest", v.rest_minor.predicted, v.rest_minor.observed);
      compared("minor faults: all", v.minor);
    } else {
      fmt::print("{:<30} {:>14} {:>14}   not compared: {}\n", "minor faults: malloc's memory", v.malloc_minor().predicted, "-", kFaultsMissing);
    }
    fmt::print("{:<30} {:>14} {:>14}   recorded, not predicted\n", "major faults", v.major.predicted, v.major.observed);
    if (v.rss_compared) {
      fmt::print("{:<30} {:>14} {:>14}   {:+.2f} %{}\n", "peak RSS", bytes_text(v.rss_peak.predicted), bytes_text(v.rss_peak.observed), percent(v.rss_peak),
                 v.rss_peak_resolution_bytes ? fmt::format(" (the kernel's peak is exact to {})", bytes_text(v.rss_peak_resolution_bytes)) : "");
      fmt::print("{:<30} {:>14} {:>14}   {:+.2f} %\n", "RSS at exit", bytes_text(v.rss_end.predicted), bytes_text(v.rss_end.observed), percent(v.rss_end));
    } else {
      fmt::print("{:<30} {:>14} {:>14}   not compared: {}\n", "peak RSS", bytes_text(v.rss_peak.predicted), "-", kRssMissing);
    }
    if (v.first_address) print_divergence("address", *v.first_address, session);
    if (v.first_call) print_divergence("system call", *v.first_call, session);
  }

  static double percent(const Pair& pair) {
    if (pair.observed == 0) return pair.predicted == 0 ? 0 : 100;
    return 100 * (static_cast<double>(pair.predicted) / static_cast<double>(pair.observed) - 1);
  }
  static void compared(const char* what, const Pair& pair) {
    fmt::print("{:<30} {:>14} {:>14}   {:+.2f} %\n", what, pair.predicted, pair.observed, percent(pair));
  }
  static void exact(const char* what, std::uint64_t matched, std::uint64_t total) {
    fmt::print("{:<30} {:>14} {:>14}   {}\n", what, matched, total, matched == total ? "all" : fmt::format("{} differ", total - matched));
  }

  static void print_divergence(const char* what, const replay::Divergence& first, replay::Session& session) {
    fmt::print("\nfirst different {}: event {} at {} in thread {}: {}\n  expected {}\n  got      {}\n", what, first.event,
               analyze::time_text(static_cast<double>(first.time_ns)), first.tid, first.operation, first.expected, first.got);
    const auto modules = session.recording->modules(session.process->pid);
    for (const std::uint64_t frame : session.recording->stacks(session.process->pid).frames(first.stack)) {
      const auto module = std::find_if(modules.begin(), modules.end(), [&](const trace::Module& m) { return m.start <= frame && frame < m.end; });
      if (module == modules.end()) {
        fmt::print("    {:#x}\n", frame);
      } else {
        fmt::print("    {}+{:#x}\n", module->path, frame - module->bias);
      }
    }
  }
};

}  // namespace

FL_REGISTER_COMMAND(Verify, "verify", "replay with the recorded settings: the twin beside reality, number by number");

}  // namespace faultline::cli
