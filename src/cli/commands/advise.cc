// faultline advise FILE: joint search over malloc settings; ranked, with error bars and a line to copy.
#include <fmt/format.h>
#include <unistd.h>

#include <cmath>

#include "analyze/search.h"
#include "analyze/search_held.h"
#include "analyze/search_json.h"
#include "analyze/search_text.h"
#include "cli/command.h"
#include "cli/objective_option.h"
#include "replay/session.h"

namespace faultline::cli {
namespace {

using analyze::Advice;
using analyze::bytes_text;
using analyze::Candidate;
using analyze::time_text;

constexpr std::size_t kFrontListed = 12, kNearListed = 5;

struct LoadingIsLate {};  // thrown out of the loader's progress: it knows no other end

class Advise : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    add_objective(app, options_.objective, "what is to become smaller: time, peak-rss, end-rss, or any (time if there is some to save, else memory)");
    app.add_option("--settings", options_.settings, "how many distinct joint settings to answer (default: those that have something to tell)")->check(CLI::Range(1, 100'000));
    app.add_option("--allow-rss", allowed_percent_, "per cent by which advice may raise peak RSS")->capture_default_str();
    app.add_option("--allow-time", allowed_time_percent_, "per cent of the run that less memory may cost")->capture_default_str();
    app.add_option("--seconds", options_.seconds, "time for all of it, loading included; more than 0")->capture_default_str();
    app.add_flag("--force", options_.force, "search although verify found a difference");
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    if (!std::isfinite(options_.seconds) || options_.seconds <= 0) return fail(make_error("--seconds: wanted a time above 0, found {}", options_.seconds));
    for (const auto& [name, value] : {std::pair{"--allow-rss", allowed_percent_}, std::pair{"--allow-time", allowed_time_percent_}})
      if (!std::isfinite(value) || value < 0) return fail(make_error("{}: wanted per cent from 0, found {}", name, value));
    options_.started = analyze::Clock::now();
    options_.file = file_;
    options_.allowed_peak_growth = allowed_percent_ / 100;
    options_.allowed_cost = allowed_time_percent_ / 100;
    const bool terminal = isatty(STDERR_FILENO) != 0;
    FL_TRY(const replay::Session session, load(terminal));
    if (terminal) {
      options_.progress = [](std::size_t answered, std::size_t replays) { fmt::print(stderr, "\r{} settings answered by {} replays ", answered, replays); };
    }
    const Advice advice = analyze::search(session.program, options_);
    if (terminal) fmt::print(stderr, "\r\033[K");
    std::vector<analyze::HeldMemory> held;
    if (analyze::memory_is_held(advice) && in_time()) held = analyze::held_memory(analyze::analyze(*session.recording, *session.process, file_, {.heap = analyze::HeapDetail::never}), advice);
    if (json_) {
      print_json(session, advice, held);
    } else {
      print_text(session, advice);
      print_held(held);
    }
    // "No setting helps" is an answer; that the twin cannot answer for this program is a no.
    return advice.verification.events != 0 && (advice.verification.holds() || options_.force) ? kDone : kAnswerIsNo;
  }

 private:
  std::string file_;
  trace::Pid pid_ = 0;
  double allowed_percent_ = 10, allowed_time_percent_ = 2;
  analyze::SearchOptions options_;
  bool json_ = false;

  bool in_time() const { return std::chrono::duration<double>(analyze::Clock::now() - options_.started).count() < options_.seconds; }

  // What no setting gives back.
  static void print_held(const std::vector<analyze::HeldMemory>& held) {
    if (held.empty()) return;
    fmt::print("\nNo setting gives this memory back; who holds it:\n");
    for (const analyze::HeldMemory& one : held) fmt::print("  {}\n", one.text());
  }

  Result<replay::Session> load(bool terminal) const {
    const auto late = options_.started + std::chrono::duration<double>(std::min(options_.seconds, 1e8));
    try {
      return replay::open_session(file_, pid_, [&](std::uint64_t events) {
        if (analyze::Clock::now() >= late) throw LoadingIsLate();
        if (terminal) fmt::print(stderr, "\r{} million events read ", events >> 20);
      });
    } catch (const LoadingIsLate&) {
      return fail(make_error("{}: {:.3g} s (--seconds) were over before the recording was read", file_, options_.seconds));
    }
  }

  void print_json(const replay::Session& session, const Advice& advice, const std::vector<analyze::HeldMemory>& held) const {
    nlohmann::ordered_json out;
    out["objective"] = analyze::name_of(options_.objective);
    out["baseline"] = analyze::to_json(advice.baseline());
    out["verified"] = advice.verification.holds();
    out["lints"] = nlohmann::ordered_json::array();
    for (const analyze::ReplayedLint& lint : advice.lints) out["lints"].push_back(analyze::to_json(lint));
    out["candidates"] = nlohmann::ordered_json::array();
    for (const Candidate& candidate : advice.candidates) out["candidates"].push_back(analyze::to_json(candidate, advice.verification));
    out["recommended"] = advice.recommended ? nlohmann::ordered_json(*advice.recommended) : nlohmann::ordered_json(nullptr);
    out["gain"] = advice.recommended ? nlohmann::ordered_json(analyze::name_of(advice.gain)) : nlohmann::ordered_json(nullptr);
    out["reason"] = advice.reason;
    out["held"] = nlohmann::ordered_json::array();
    for (const analyze::HeldMemory& one : held)
      out["held"].push_back({{"kind", analyze::name_of(one.kind)}, {"site", one.site}, {"held_bytes", one.bytes}, {"blocks", one.blocks}, {"share", one.share}});
    out["settings_answered"] = advice.candidates.size() + advice.too_costly;
    out["replays"] = advice.replays;
    out["too_costly"] = advice.too_costly;
    out["out_of_time"] = advice.out_of_time;
    out["seconds"] = std::chrono::duration<double>(analyze::Clock::now() - options_.started).count();
    out["remarks"] = session.remarks;
    fmt::print("{}\n", out.dump(2));
  }

  // As a shell takes it back.
  static std::string quoted(const std::string& word) {
    constexpr const char* kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=./,:@%";
    if (!word.empty() && word.find_first_not_of(kPlain) == std::string::npos) return word;
    std::string text = "'";
    for (const char c : word) text += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return text + "'";
  }
  static std::string command_line(const replay::Session& session) {
    std::string line;
    for (const std::string& word : session.process->command) line += (line.empty() ? "" : " ") + quoted(word);
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

  static void print_candidate(const Advice& advice, std::size_t i) {
    const Candidate& c = advice.candidates[i];
    const char* mark = advice.recommended == i ? "=>" : c.raises_peak ? "!" : "";
    print_candidate(mark, joined(analyze::assignments(c.setting)) + (c.what_if.arena_estimate ? "  (estimate)" : "") + (c.what_if.unpriced.empty() ? "" : "  (not all of its cost is priced)") + (c.what_if.assumptions.empty() ? "" : "  (see below)"), c.predicted, c.saved_ns);
  }

  void print_text(const replay::Session& session, const Advice& advice) const {
    for (const std::string& remark : session.remarks) fmt::print("note: {}\n", remark);
    print_lints(advice);
    if (advice.candidates.empty()) {
      fmt::print("No advice: {}.\n", advice.reason);
      return;
    }
    fmt::print("{:<2} {:>11} {:>8} {:>11} {:>11} {:>11}   setting\n", "", "minor", "calls", "peak RSS", "RSS at exit", "saved");
    print_candidate("", "as recorded", advice.baseline(), 0);
    print_front(advice);
    fmt::print("{} joint settings answered by {} replays in {:.1f} s{}{}; error bar from verify: {}\n", advice.candidates.size() + advice.too_costly, advice.replays,
               std::chrono::duration<double>(analyze::Clock::now() - options_.started).count(),
               advice.too_costly ? fmt::format(", {} given up: they would cost a quarter of the run", advice.too_costly) : "",
               advice.out_of_time ? "; out of time, there was more to try (--seconds)" : "", analyze::error_bar_text(advice.verification));
    fmt::print("saved: faults and memory calls priced on the machine that recorded. !: raises peak RSS by more than {:.0f} % and {}\n\n", allowed_percent_, bytes_text(analyze::SearchOptions::kAllowedBytes));
    if (!advice.recommended) {
      fmt::print("{}.\n", advice.reason);
      return;
    }
    print_recommended(session, advice);
  }

  static void print_lints(const Advice& advice) {
    for (const auto& [lint, instead] : advice.lints) {
      fmt::print("setting: {}\n", lint.title);
      for (const std::string& line : lint.lines) fmt::print("         {}\n", line);
      if (!lint.next.empty()) fmt::print("         instead: {}\n", lint.next);
      if (instead) fmt::print("         replayed so: {}\n", analyze::difference_text(advice.baseline(), *instead));
    }
    if (!advice.lints.empty()) fmt::print("\n");
  }

  // All that nothing else beats in time, peak and end at once; then what is as good as the best, though not on the front.
  static void print_front(const Advice& advice) {
    std::size_t listed = 0, near = 0, hidden = 0;
    for (std::size_t i = 0; i < advice.candidates.size(); ++i) {
      const bool chosen = advice.recommended == i;
      if (!advice.candidates[i].on_front && !chosen) continue;
      if (listed++ < kFrontListed || chosen) print_candidate(advice, i);
      else ++hidden;
    }
    if (hidden > 0) fmt::print("   {} more on the front (--json)\n", hidden);
    for (std::size_t i = 0; i < advice.candidates.size() && near < kNearListed; ++i) {
      const Candidate& candidate = advice.candidates[i];
      if (candidate.on_front || !candidate.near_best || advice.recommended == i) continue;
      if (near++ == 0) fmt::print("as good within the error bar:\n");
      print_candidate(advice, i);
    }
    for (const Candidate& candidate : advice.candidates) {
      if (!candidate.on_front || candidate.what_if.assumptions.empty()) continue;
      for (const std::string& line : candidate.what_if.assumptions) fmt::print("assumes: {}\n", line);
      break;
    }
  }

  void print_recommended(const replay::Session& session, const Advice& advice) const {
    const Candidate& chosen = advice.candidates[*advice.recommended];
    const auto growth = static_cast<std::int64_t>(chosen.predicted.rss_peak_bytes) - static_cast<std::int64_t>(advice.baseline().rss_peak_bytes);
    fmt::print("Recommended: {}; peak RSS {}{}.\n", advice.reason, growth < 0 ? "-" : "+", bytes_text(static_cast<std::uint64_t>(growth < 0 ? -growth : growth)));
    const std::string environment = chosen.what_if.environment();
    if (!environment.empty()) fmt::print("  {} {}\n", environment, command_line(session));
    if (chosen.what_if.changes_program()) {
      fmt::print("  {}\n", chosen.what_if.code());
      return;
    }
    fmt::print("Prove it:\n  faultline confirm {}{} -- {}\n", file_, set_options(chosen), command_line(session));
  }
  static std::string set_options(const Candidate& candidate) {
    std::string text;
    for (const std::string& one : analyze::assignments(candidate.setting)) text += " --set " + one;
    return text;
  }
};

}  // namespace

FL_REGISTER_COMMAND(Advise, "advise", "search malloc settings jointly; ranked, with error bars and a line to copy");

}  // namespace faultline::cli
