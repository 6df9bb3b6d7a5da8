// faultline check FILE --max-... SIZE --against BASE: a recording held against limits and another recording. Exit status 1: too much.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "analyze/format.h"
#include "analyze/gate.h"
#include "cli/command.h"
#include "cli/recorded_process.h"
#include "replay/session.h"
#include "replay/verify.h"
#include "report/text.h"

namespace faultline::cli {
namespace {

using analyze::Figure;
using nlohmann::ordered_json;

struct Subject {  // one recording
  std::string file;
  std::unique_ptr<trace::Recording> recording;
  analyze::Analysis analysis;
  analyze::Figures figures;
};

struct Verdict {
  Figure figure;
  std::uint64_t found = 0, most = 0;
  std::optional<std::uint64_t> base;  // none: a limit
  std::vector<analyze::Growth> growth;
  bool holds() const { return found <= most; }
};

std::string text_of(Figure figure, std::uint64_t value) { return figure_is_bytes(figure) ? analyze::format_bytes(value) : analyze::format_count(value); }

// "5%", "5 %" and "5" are 0.05.
Result<double> share_of(const std::string& text) {
  char* end = nullptr;
  const double percent = std::strtod(text.c_str(), &end);
  const std::string_view rest(end);
  const bool number = end != text.c_str() && (rest.empty() || rest == "%" || rest == " %");
  if (!number || !(percent >= 0 && percent <= 1e6)) return fail(make_error("--tolerance: wanted a percentage as 5%, found '{}'", text));
  return percent / 100;
}

class Check : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "recording")->required();
    const auto limit = [&](Figure figure, const char* option, const char* text) {
      CLI::Option* const added = app.add_option(option, limits_[static_cast<std::size_t>(figure)], text);
      if (figure_is_bytes(figure)) added->transform(CLI::AsSizeValue(false));
    };
    limit(Figure::peak_rss, "--max-peak-rss", "fail above, e.g. 100M (binary units)");
    limit(Figure::end_rss, "--max-end-rss", "fail above");
    limit(Figure::minor_faults, "--max-minor-faults", "fail above");
    limit(Figure::major_faults, "--max-major-faults", "fail above");
    limit(Figure::peak_live, "--max-peak-live", "fail above: bytes malloc had handed out at once");
    limit(Figure::end_live, "--max-end-live", "fail above: bytes never freed");
    limit(Figure::allocations, "--max-allocations", "fail above");
    app.add_option("--against", base_, "another recording: fail where a figure is above its by more than the tolerance");
    app.add_option("--tolerance", tolerance_text_, "how much more than BASE is no failure")->capture_default_str();
    app.add_flag("--twin", twin_, "RSS and minor faults as the twin computes them, without the noise of the run recorded");
    app.add_option("--top", top_, "how many sites to show of each failure")->capture_default_str()->check(CLI::Range(1, 1000));
    app.add_option("--process", pid_, "which recorded process (default: the command's own)")->check(CLI::Range(1, kMostPid));
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    const bool limited = std::any_of(limits_.begin(), limits_.end(), [](const auto& limit) { return limit.has_value(); });
    if (!limited && base_.empty()) return fail(make_error("wanted something to hold it against, found nothing: --max-peak-rss SIZE, --against BASE, ..."));
    FL_TRY(tolerance_, share_of(tolerance_text_));
    FL_TRY(const Subject subject, open(file_, pid_));
    std::optional<Subject> base;
    if (!base_.empty()) {
      FL_TRY(Subject other, open(base_, 0));
      base = std::move(other);
    }
    FL_TRY(const std::vector<Verdict> verdicts, judge(subject, base));
    if (base) missing_ = missing(subject, *base);
    const bool holds = std::all_of(verdicts.begin(), verdicts.end(), [](const Verdict& verdict) { return verdict.holds(); });
    if (json_) print_json(verdicts, holds);
    else print(verdicts, holds);
    return holds ? kDone : kAnswerIsNo;
  }

 private:
  Result<Subject> open(const std::string& file, trace::Pid pid) const {
    Subject subject;
    subject.file = file;
    FL_TRY(subject.recording, trace::Recording::open(file));
    FL_TRY(const trace::ProcessInfo* const process, recorded_process(*subject.recording, file, pid));
    subject.analysis = analyze::analyze(*subject.recording, *process, file, {.heap = analyze::HeapDetail::never});
    // What is not there would pass as not used.
    if (const auto& damage = subject.recording->damage()) return fail(make_error("{}: wanted a whole recording, found {}", file, *damage));
    subject.figures = analyze::figures_of(subject.analysis, subject.recording->meta(), *process);
    if (!twin_) return subject;
    FL_TRY(const replay::Session session, replay::open_session(file, process->pid));
    const replay::Verification twin = replay::verify(session.program);
    const auto set = [&](Figure figure, std::uint64_t value) { subject.figures.values[static_cast<std::size_t>(figure)] = value; };
    set(Figure::peak_rss, twin.rss_peak.predicted);
    set(Figure::end_rss, twin.rss_end.predicted);
    set(Figure::minor_faults, twin.minor.predicted);
    return subject;
  }

  Result<std::vector<Verdict>> judge(const Subject& subject, const std::optional<Subject>& base) const {
    std::vector<Verdict> verdicts;
    for (std::size_t i = 0; i < analyze::kFigureCount; ++i) {
      const auto figure = static_cast<Figure>(i);
      if (limits_[i]) {
        FL_TRY(const std::uint64_t found, value(subject, figure));
        verdicts.push_back({figure, found, *limits_[i], std::nullopt, {}});
        if (!verdicts.back().holds()) verdicts.back().growth = analyze::growth_of(figure, base ? &base->analysis : nullptr, subject.analysis);
      }
      if (!base) continue;
      if (!subject.figures.at(figure) || !base->figures.at(figure)) continue;  // said in the output
      const std::uint64_t before = *base->figures.at(figure);
      const auto allowed = static_cast<std::uint64_t>(static_cast<double>(before) * tolerance_);
      verdicts.push_back({figure, *subject.figures.at(figure), before + std::max(allowed, figure_noise(figure)), before, {}});
      if (!verdicts.back().holds()) verdicts.back().growth = analyze::growth_of(figure, &base->analysis, subject.analysis);
    }
    return verdicts;
  }

  static Result<std::uint64_t> value(const Subject& subject, Figure figure) {
    if (subject.figures.at(figure)) return *subject.figures.at(figure);
    return fail(make_error("{}: holds no {}: {}", subject.file, figure_title(figure), subject.figures.why_not[static_cast<std::size_t>(figure)]));
  }

  static std::vector<std::string> missing(const Subject& subject, const Subject& base) {
    std::vector<std::string> lines;
    for (std::size_t i = 0; i < analyze::kFigureCount; ++i) {
      const auto figure = static_cast<Figure>(i);
      const Subject* const lacks = !subject.figures.at(figure) ? &subject : !base.figures.at(figure) ? &base : nullptr;
      if (lacks != nullptr) lines.push_back(fmt::format("{}: {}: {}", figure_title(figure), lacks->file, lacks->figures.why_not[i]));
    }
    return lines;
  }

  void print(const std::vector<Verdict>& verdicts, bool holds) const {
    report::Page page(report::style_of_stdout());
    page.heading(fmt::format("{}: {}", file_, holds ? "holds" : "does not hold"));
    if (!base_.empty()) page.line(fmt::format("against {}, tolerance {}", base_, analyze::format_share(tolerance_)));
    const bool based = !base_.empty();
    report::Table table(based ? std::vector<std::string>{"found", "at most", "base", "", "what"} : std::vector<std::string>{"found", "at most", "", "what"});
    for (const Verdict& verdict : verdicts) {
      std::vector<std::string> cells = {text_of(verdict.figure, verdict.found), text_of(verdict.figure, verdict.most)};
      if (based) cells.push_back(verdict.base ? text_of(verdict.figure, *verdict.base) : "");
      cells.push_back(verdict.holds() ? "ok" : "FAILED");
      cells.push_back(verdict.holds() ? figure_title(verdict.figure)
                                      : fmt::format("{}: {} too {}", figure_title(verdict.figure), text_of(verdict.figure, verdict.found - verdict.most),
                                                    figure_is_bytes(verdict.figure) ? "much" : "many"));
      table.row(std::move(cells));
    }
    table.print(page);
    for (const std::string& line : missing_) page.line("not compared: " + line);
    std::set<std::string> shown;  // RSS and live bytes have one table, a limit and a base too
    for (const Verdict& verdict : verdicts) {
      if (!verdict.holds() && shown.insert(measure(verdict.figure)).second) print_growth(verdict, page);
    }
    fmt::print("{}", page.text());
  }

  static const char* measure(Figure figure) {
    switch (figure) {
      case Figure::peak_rss:
      case Figure::peak_live: return "bytes live when most were";
      case Figure::end_rss:
      case Figure::end_live: return "bytes live at the end";
      default: return figure_title(figure);
    }
  }

  // Of RSS the table shows live blocks, which is not all of it; the line below says how much they explain.
  void print_growth(const Verdict& verdict, report::Page& page) const {
    const bool based = !base_.empty();
    const bool live = figure_is_bytes(verdict.figure);
    const bool rss = verdict.figure == Figure::peak_rss || verdict.figure == Figure::end_rss;
    page.heading(fmt::format("{}: {}", based ? "who grew" : "who has most", measure(verdict.figure)));
    if (verdict.growth.empty()) {
      page.line(live ? "no call site: what grew is not in live blocks (free heap memory, mappings of its own, files, stacks)" : "no call site");
      return;
    }
    report::Table table(based ? std::vector<std::string>{"before", "after", "more", "site"} : std::vector<std::string>{"has", "site"});
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < verdict.growth.size(); ++i) {
      const analyze::Growth& row = verdict.growth[i];
      sum += row.rise();
      if (i >= top_) continue;
      if (based) table.row({text_of(verdict.figure, row.before), text_of(verdict.figure, row.after), "+" + text_of(verdict.figure, row.rise()), row.name});
      else table.row({text_of(verdict.figure, row.after), row.name});
    }
    table.print(page);
    if (verdict.growth.size() > top_) page.dim(fmt::format("{} more sites", verdict.growth.size() - top_), 2);
    if (rss && verdict.base && verdict.found > *verdict.base) {
      const std::uint64_t rise = verdict.found - *verdict.base;
      if (sum < rise) page.line(fmt::format("{} of the {} more are not in live blocks", analyze::format_bytes(rise - sum), analyze::format_bytes(rise)));
    }
  }

  void print_json(const std::vector<Verdict>& verdicts, bool holds) const {
    ordered_json out = {{"file", file_}, {"against", base_.empty() ? ordered_json(nullptr) : ordered_json(base_)}, {"tolerance", tolerance_}, {"twin", twin_}};
    out["checks"] = ordered_json::array();
    for (const Verdict& verdict : verdicts) {
      const std::string unit = figure_is_bytes(verdict.figure) ? "_bytes" : "";
      ordered_json one = {{"figure", figure_key(verdict.figure) + unit},
                          {"found", verdict.found},
                          {"most", verdict.most},
                          {"base", verdict.base ? ordered_json(*verdict.base) : ordered_json(nullptr)},
                          {"holds", verdict.holds()}};
      one["sites"] = ordered_json::array();
      for (std::size_t i = 0; i < std::min(top_, verdict.growth.size()); ++i) {
        const analyze::Growth& row = verdict.growth[i];
        one["sites"].push_back({{"site", row.name}, {"before", base_.empty() ? ordered_json(nullptr) : ordered_json(row.before)}, {"after", row.after}});
      }
      out["checks"].push_back(std::move(one));
    }
    out["not_compared"] = missing_;
    out["holds"] = holds;
    fmt::print("{}\n", out.dump(2, ' ', false, ordered_json::error_handler_t::replace));
  }

  std::string file_, base_, tolerance_text_ = "5%";
  std::array<std::optional<std::uint64_t>, analyze::kFigureCount> limits_;
  double tolerance_ = 0.05;
  std::size_t top_ = 5;
  trace::Pid pid_ = 0;
  bool twin_ = false, json_ = false;
  std::vector<std::string> missing_;
};

}  // namespace

FL_REGISTER_COMMAND(Check, "check", "a recording against limits and another recording; exit status 1 if it is too much");

}  // namespace faultline::cli
