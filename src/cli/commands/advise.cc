// faultline advise FILE: joint search over malloc settings; ranked, with error bars and a line to copy.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>

#include "analyze/search.h"
#include "analyze/search_json.h"
#include "analyze/search_text.h"
#include "cli/command.h"
#include "replay/session.h"

namespace faultline::cli {
namespace {

using analyze::Advice;
using analyze::bytes_text;
using analyze::Candidate;
using analyze::time_text;

constexpr std::size_t kListed = 8;

std::string environment_of(const Candidate& candidate) { return "GLIBC_TUNABLES=" + candidate.tunables.to_glibc_tunables(); }

class Advise : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    app.add_option("--allow-rss", allowed_percent_, "per cent by which advice may raise peak RSS")->capture_default_str();
    app.add_option("--seconds", options_.seconds, "time for the search, more than 0")->capture_default_str();
    app.add_flag("--force", options_.force, "search although verify found a difference");
    app.add_option("--process", pid_, "which recorded process (default: the command's own)");
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    if (!std::isfinite(options_.seconds) || options_.seconds <= 0) return fail(make_error("--seconds: wanted a time above 0, found {}", options_.seconds));
    if (!std::isfinite(allowed_percent_) || allowed_percent_ < 0) return fail(make_error("--allow-rss: wanted per cent from 0, found {}", allowed_percent_));
    const bool terminal = isatty(STDERR_FILENO) != 0;
    FL_TRY(replay::Session session, replay::open_session(file_, pid_, progress_of_loading(terminal)));
    options_.allowed_peak_growth = allowed_percent_ / 100;
    if (terminal) {
      options_.progress = [](std::size_t done, std::size_t planned) { fmt::print(stderr, "\r{} of {} replays ", done, planned); };
    }
    const Advice advice = analyze::search(session.program, options_);
    if (terminal) fmt::print(stderr, "\r\033[K");
    if (json_) {
      print_json(session, advice);
    } else {
      print_text(session, advice);
    }
    // "No setting helps" is an answer; that the twin cannot answer for this program is a no.
    return advice.verification.holds() || options_.force ? kDone : kAnswerIsNo;
  }

 private:
  std::string file_;
  trace::Pid pid_ = 0;
  double allowed_percent_ = 10;
  analyze::SearchOptions options_;
  bool json_ = false;

  static std::function<void(std::uint64_t)> progress_of_loading(bool terminal) {
    if (!terminal) return {};
    return [](std::uint64_t events) { fmt::print(stderr, "\r{} million events read ", events >> 20); };
  }

  static void print_json(const replay::Session& session, const Advice& advice) {
    nlohmann::ordered_json out;
    out["baseline"] = analyze::to_json(advice.baseline());
    out["verified"] = advice.verification.holds();
    out["candidates"] = nlohmann::ordered_json::array();
    for (const Candidate& candidate : advice.candidates) {
      nlohmann::ordered_json settings = nlohmann::ordered_json::object();
      for (const std::string& one : candidate.settings) settings[one.substr(0, one.find('='))] = std::stoull(one.substr(one.find('=') + 1));
      out["candidates"].push_back({{"settings", settings},
                                   {"predicted", analyze::to_json(candidate.predicted)},
                                   {"error", analyze::error_json(advice.verification, candidate.predicted)},
                                   {"saved_ns", static_cast<std::int64_t>(candidate.saved_ns)},
                                   {"on_front", candidate.on_front},
                                   {"raises_peak_rss", candidate.raises_peak},
                                   {"env", environment_of(candidate)}});
    }
    out["recommended"] = advice.recommended ? nlohmann::ordered_json(*advice.recommended) : nlohmann::ordered_json(nullptr);
    out["reason"] = advice.reason;
    out["replays"] = advice.replays;
    out["remarks"] = session.remarks;
    fmt::print("{}\n", out.dump(2));
  }

  static std::string command_line(const replay::Session& session) {
    std::string line;
    for (const std::string& word : session.process->command) line += (line.empty() ? "" : " ") + word;
    return line.empty() ? "CMD" : line;
  }

  static std::string joined(const std::vector<std::string>& settings) {
    std::string line;
    for (const std::string& one : settings) line += (line.empty() ? "" : " ") + one;
    return line;
  }

  static void print_candidate(const char* mark, const std::string& name, const replay::Prediction& p, double saved_ns) {
    fmt::print("{:<2} {:>11} {:>8} {:>11} {:>11} {:>11}   {}\n", mark, p.minor_faults(), p.calls.total(), bytes_text(p.rss_peak_bytes),
               bytes_text(p.rss_end_bytes), time_text(saved_ns), name);
  }

  void print_text(const replay::Session& session, const Advice& advice) const {
    for (const std::string& remark : session.remarks) fmt::print("note: {}\n", remark);
    if (advice.candidates.empty()) {
      fmt::print("No advice: {}\n", advice.reason);
      return;
    }
    fmt::print("{:<2} {:>11} {:>8} {:>11} {:>11} {:>11}   setting\n", "", "minor", "calls", "peak RSS", "RSS at exit", "saved");
    print_candidate("", "as recorded", advice.baseline(), 0);
    std::size_t listed = 0;
    for (std::size_t i = 0; i < advice.candidates.size() && listed < kListed; ++i) {
      const Candidate& candidate = advice.candidates[i];
      if (!candidate.on_front && advice.recommended != i) continue;
      const char* mark = advice.recommended == i ? "=>" : candidate.raises_peak ? "!" : "";
      print_candidate(mark, joined(candidate.settings), candidate.predicted, candidate.saved_ns);
      ++listed;
    }
    fmt::print("{} joint settings replayed; error bar from verify: {}\n", advice.replays, analyze::error_bar_text(advice.verification));
    fmt::print("saved: faults and memory calls priced on the machine that recorded. !: raises peak RSS by more than {:.0f} %\n\n", allowed_percent_);
    if (!advice.recommended) {
      fmt::print("{}.\n", advice.reason);
      return;
    }
    const Candidate& chosen = advice.candidates[*advice.recommended];
    const auto growth = static_cast<std::int64_t>(chosen.predicted.rss_peak_bytes) - static_cast<std::int64_t>(advice.baseline().rss_peak_bytes);
    fmt::print("Recommended: {}; peak RSS {}{}.\n", advice.reason, growth < 0 ? "-" : "+", bytes_text(static_cast<std::uint64_t>(growth < 0 ? -growth : growth)));
    fmt::print("  {} {}\n", environment_of(chosen), command_line(session));
    fmt::print("Prove it:\n  faultline confirm {} --advice -- {}\n", file_, command_line(session));
  }
};

}  // namespace

FL_REGISTER_COMMAND(Advise, "advise", "search malloc settings jointly; ranked, with error bars and a line to copy");

}  // namespace faultline::cli
