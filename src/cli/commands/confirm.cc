// faultline confirm FILE --set K=V ... -- CMD: run CMD without the recorder, as it was and with the settings; predicted
// against measured.
#include <fmt/format.h>
#include <sys/wait.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "analyze/placements.h"
#include "analyze/search.h"
#include "analyze/search_json.h"
#include "analyze/search_measure.h"
#include "analyze/search_text.h"
#include "cli/command.h"
#include "cli/objective_option.h"
#include "replay/session.h"

namespace faultline::cli {
namespace {

using analyze::bytes_text;
using analyze::Measurement;
using analyze::time_text;

constexpr double kFaultTolerance = 0.05;
constexpr double kSameRun = 0.5;  // beyond it the unchanged command is not the one that was recorded
constexpr double kWallTolerance = 0.05;  // on top of the spread of the runs themselves

std::uint64_t median(std::vector<std::uint64_t> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// The runs of one configuration.
struct Runs {
  std::vector<Measurement> list;

  std::uint64_t middle(std::uint64_t Measurement::*what) const {
    std::vector<std::uint64_t> values;
    for (const Measurement& m : list) values.push_back(m.*what);
    return median(std::move(values));
  }
  std::uint64_t wall_spread() const {
    auto [low, high] = std::minmax_element(list.begin(), list.end(), [](const Measurement& x, const Measurement& y) { return x.wall_ns < y.wall_ns; });
    return high->wall_ns - low->wall_ns;
  }
  nlohmann::ordered_json json() const {
    return {{"minor_faults", middle(&Measurement::minor_faults)}, {"major_faults", middle(&Measurement::major_faults)},
            {"rss_peak_bytes", middle(&Measurement::rss_peak_bytes)}, {"wall_ns", middle(&Measurement::wall_ns)},
            {"user_ns", middle(&Measurement::user_ns)}, {"system_ns", middle(&Measurement::system_ns)}};
  }
};

double off_by(std::uint64_t predicted, std::uint64_t measured) {
  if (measured == 0) return predicted == 0 ? 0 : 1;
  return static_cast<double>(predicted) / static_cast<double>(measured) - 1;
}

class Confirm : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    auto* set = app.add_option("--set", settings_, "malloc setting NAME=VALUE (repeatable; all apply together)")->allow_extra_args(false);
    app.add_flag("--advice", advice_, "the settings faultline advise recommends")->excludes(set);
    add_objective(app, objective_, "with --advice: what is to become smaller");
    app.add_option("--runs", runs_, "runs of each, alternating")->check(CLI::Range(1, 100))->capture_default_str();
    app.add_flag("--quiet", quiet_, "send the command's standard output to /dev/null");
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    app.add_flag("--json", json_, "print JSON");
    app.footer("The program to run follows after --: the recorded command.");
  }

  bool takes_program() const override { return true; }

  Result<int> run() override {
    if (settings_.empty() && !advice_) return fail(make_error("wanted --set NAME=VALUE or --advice, found neither"));
    if (program_.empty()) return fail(make_error("wanted a command after --, found none"));
    FL_TRY(analyze::Launcher launcher, analyze::Launcher::start(program_, quiet_ || json_));  // while this process is small
    FL_TRY(const replay::Session session, replay::open_session(file_, pid_));
    replay::Verification verification;
    if (advice_) {
      analyze::SearchOptions options;
      options.objective = objective_;
      const analyze::Advice advice = analyze::search(session.program, options);
      if (!advice.recommended) return nothing_to_confirm(advice.reason);
      const analyze::WhatIf& recommended = advice.candidates[*advice.recommended].what_if;
      if (recommended.changes_program()) return nothing_to_confirm("the advice is no setting but a change of the program: " + recommended.code());
      settings_ = analyze::assignments(advice.candidates[*advice.recommended].setting);
      verification = advice.verification;
    } else {
      verification = replay::verify(session.program);
    }
    FL_TRY(const analyze::WhatIf question, analyze::what_if(session.program, settings_));
    if (question.changes_program()) {
      return fail(make_error("{}: a change of the program, which no setting of this run does; record the changed program and verify it", question.code()));
    }
    const heap::Parameters& parameters = question.parameters;
    const replay::Prediction changed = *analyze::predict(session.program, question);

    const char* inherited = std::getenv("GLIBC_TUNABLES");
    const std::string before_env = analyze::merged_tunables(inherited ? inherited : "", session.program.tunables);
    const std::string after_env = analyze::merged_tunables(analyze::other_tunables(before_env), parameters.tunables.to_glibc_tunables());
    Runs before, after;
    for (int i = 0; i < runs_; ++i) {
      FL_TRY(before.list.emplace_back(), launcher.run(before_env));
      FL_TRY(after.list.emplace_back(), launcher.run(after_env, variables(question.unset)));
    }
    return judge(session, verification, changed, before, after, after_env);
  }

 private:
  std::string file_;
  trace::Pid pid_ = 0;
  std::vector<std::string> settings_;
  analyze::Objective objective_ = analyze::Objective::any;
  bool advice_ = false, quiet_ = false, json_ = false;
  int runs_ = 3;

  // GLIBC_TUNABLES is written anew for each run.
  static std::vector<std::string> variables(std::vector<std::string> names) {
    std::erase(names, "GLIBC_TUNABLES");
    return names;
  }

  int nothing_to_confirm(const std::string& reason) const {
    if (json_) fmt::print("{}\n", nlohmann::ordered_json{{"confirmed", nullptr}, {"reason", reason}}.dump(2));
    else fmt::print("Nothing to confirm: {}.\n", reason);
    return kAnswerIsNo;
  }

  // Faults of the recorded processes beside the main one: wait4 counts reaped children with the command.
  static std::uint64_t faults_of_others(const replay::Session& session) {
    std::uint64_t faults = 0;
    for (const trace::ProcessInfo& other : session.recording->processes())
      if (other.pid != session.process->pid) faults += other.minor_faults - std::min(other.minor_faults, other.recorder_faults);
    return faults;
  }

  // A command that ends otherwise than when it was recorded, or faults quite differently, is another run: its numbers prove nothing.
  static std::string why_not_the_recorded_run(const replay::Session& session, std::uint64_t predicted, const Runs& before) {
    const int status = before.list.front().wait_status;
    const auto main = std::find_if(session.recording->processes().begin(), session.recording->processes().end(), [](const trace::ProcessInfo& p) { return p.is_main; });
    const bool known = main != session.recording->processes().end() && main->exit_seen;
    if (known && main->wait_status != status) {
      return fmt::format("This is not the recorded run: the command {}, when recorded it {}", ending_text(status), ending_text(main->wait_status));
    }
    const std::uint64_t measured = before.middle(&Measurement::minor_faults);
    if (std::abs(off_by(predicted, measured)) > kSameRun) {
      return fmt::format("This is not the recorded run: unchanged it takes {} minor faults, the recording tells of {}", measured, predicted);
    }
    return {};
  }
  static std::string ending_text(int wait_status) {
    return WIFSIGNALED(wait_status) ? fmt::format("was killed by signal {}", WTERMSIG(wait_status)) : fmt::format("exited with {}", WEXITSTATUS(wait_status));
  }

  int judge(const replay::Session& session, const replay::Verification& verification, const replay::Prediction& changed,
            const Runs& before, const Runs& after, const std::string& env) const {
    const std::uint64_t others = faults_of_others(session);
    const std::uint64_t predicted_before = verification.prediction.minor_faults() + others;
    const std::uint64_t predicted_after = changed.minor_faults() + others;
    const std::uint64_t measured_before = before.middle(&Measurement::minor_faults), measured_after = after.middle(&Measurement::minor_faults);
    const double error = off_by(predicted_after, measured_after);
    const bool faults_hold = std::abs(error) <= kFaultTolerance;
    const std::uint64_t wall_before = before.middle(&Measurement::wall_ns), wall_after = after.middle(&Measurement::wall_ns);
    const double noise = static_cast<double>(std::max(before.wall_spread(), after.wall_spread())) + kWallTolerance * static_cast<double>(wall_before);
    const double predicted_loss = std::max(0.0, changed.cost_ns - verification.prediction.cost_ns);  // slower as predicted is no miss
    const bool wall_holds = static_cast<double>(wall_after) <= static_cast<double>(wall_before) + noise + 1.5 * predicted_loss;
    const bool same_end = std::all_of(after.list.begin(), after.list.end(), [&](const Measurement& m) { return m.wait_status == before.list.front().wait_status; });
    const std::string other_run = why_not_the_recorded_run(session, predicted_before, before);
    const bool confirmed = faults_hold && wall_holds && same_end && other_run.empty();
    if (json_) {
      nlohmann::ordered_json out;
      out["settings"] = settings_;
      out["env"] = "GLIBC_TUNABLES=" + env;
      out["runs"] = runs_;
      out["baseline"] = {{"predicted", {{"minor_faults", predicted_before}, {"rss_peak_bytes", verification.prediction.rss_peak_bytes}}}, {"measured", before.json()}};
      out["changed"] = {{"predicted", {{"minor_faults", predicted_after}, {"rss_peak_bytes", changed.rss_peak_bytes}}}, {"measured", after.json()}};
      out["minor_faults_within_5_percent"] = faults_hold;
      out["wall_not_worse"] = wall_holds;
      out["same_run"] = other_run.empty();
      if (!other_run.empty()) out["same_run_reason"] = other_run;
      out["confirmed"] = confirmed;
      fmt::print("{}\n", out.dump(2));
      return confirmed ? kDone : kAnswerIsNo;
    }
    fmt::print("{}, without the recorder\nGLIBC_TUNABLES={}\n\n", runs_ == 1 ? std::string("one run of each") : fmt::format("medians of {} runs of each, alternating", runs_), env);
    fmt::print("{:<22} {:>13} {:>13} {:>8}   {:>13} {:>13} {:>8}\n", "", "as it was:", "predicted", "", "changed:", "predicted", "");
    fmt::print("{:<22} {:>13} {:>13} {:>+7.1f}%   {:>13} {:>13} {:>+7.1f}%\n", "minor faults", measured_before, predicted_before,
               100 * off_by(predicted_before, measured_before), measured_after, predicted_after, 100 * error);
    const std::uint64_t rss_before = before.middle(&Measurement::rss_peak_bytes), rss_after = after.middle(&Measurement::rss_peak_bytes);
    fmt::print("{:<22} {:>13} {:>13} {:>+7.1f}%   {:>13} {:>13} {:>+7.1f}%\n", "peak RSS", bytes_text(rss_before),
               bytes_text(verification.prediction.rss_peak_bytes), 100 * off_by(verification.prediction.rss_peak_bytes, rss_before),
               bytes_text(rss_after), bytes_text(changed.rss_peak_bytes), 100 * off_by(changed.rss_peak_bytes, rss_after));
    times("wall", before, after, &Measurement::wall_ns);
    times("user", before, after, &Measurement::user_ns);
    times("system", before, after, &Measurement::system_ns);
    fmt::print("{:<22} {:>13} {:>13} {:>8}   {:>13}\n", "major faults", before.middle(&Measurement::major_faults), "", "",
               after.middle(&Measurement::major_faults));
    fmt::print("\npredicted saving {}, measured {} of wall time\n", time_text(verification.prediction.cost_ns - changed.cost_ns),
               time_text(static_cast<double>(wall_before) - static_cast<double>(wall_after)));
    if (confirmed) {
      fmt::print("Confirmed.\n");
    } else {
      fmt::print("Not confirmed:{}{}{}{}\n", other_run.empty() ? "" : " " + other_run + ".", faults_hold ? "" : " minor faults differ by more than 5 %.", wall_holds ? "" : " It runs longer than predicted.",
                 same_end ? "" : " The command ended differently.");
    }
    return confirmed ? kDone : kAnswerIsNo;
  }

  static void times(const char* what, const Runs& before, const Runs& after, std::uint64_t Measurement::*field) {
    fmt::print("{:<22} {:>13} {:>13} {:>8}   {:>13}\n", what, time_text(static_cast<double>(before.middle(field))), "", "",
               time_text(static_cast<double>(after.middle(field))));
  }
};

}  // namespace

FL_REGISTER_COMMAND(Confirm, "confirm", "run the command with the settings: predicted against measured");

}  // namespace faultline::cli
