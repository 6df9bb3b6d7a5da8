// faultline top: processes by fault rate, and the mappings of one; on a terminal, or as text (-b).
#include <fmt/format.h>
#include <unistd.h>

#include <cstdio>

#include "cli/command.h"
#include "live/ticker.h"
#include "live/view/top_rows.h"
#include "live/view/top_screen.h"
#include "report/text.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kBatchRows = 20;

class Top : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("-d,--delay", options_.seconds, "seconds between two looks")->capture_default_str()->check(CLI::Range(0.1, 3600.0));
    app.add_option("--sort", sort_, "faults, major, rss or pid")->capture_default_str()->check(CLI::IsMember({"faults", "major", "rss", "pid"}));
    app.add_flag("--kernel", options_.kernel_threads, "kernel threads too");
    app.add_flag("-b,--batch", batch_, "print tables instead of taking the terminal");
    app.add_option("-n,--count", count_, "so many tables, then end (default: until Ctrl-C)")->check(CLI::Range(1, 1'000'000'000));
    app.add_option("--rows", most_, "processes in a table, 0 for all")->capture_default_str();
    app.add_option("--proc", root_, "where proc(5) is mounted, as a host's is in a container")->capture_default_str();
    app.add_flag("--json", json_, "print JSON, an object a look (with -b)");
  }

  Result<int> run() override {
    options_.order = sort_ == "major" ? live::TopOrder::major : sort_ == "rss" ? live::TopOrder::rss : sort_ == "pid" ? live::TopOrder::pid : live::TopOrder::faults;
    FL_TRY(const live::Proc proc, live::Proc::open(root_));
    if (batch_) return run_batch(proc);
    if (json_ || count_ > 0) return fail(make_error("{} prints tables: wanted -b with it", json_ ? "--json" : "-n"));
    if (isatty(STDIN_FILENO) == 0 || isatty(STDOUT_FILENO) == 0) return fail(make_error("wanted a terminal, found none: -b prints tables (faultline top -b -n 1)"));
    FL_CHECK(live::run_top_screen(proc, options_));
    return kDone;
  }

 private:
  // The first table comes after one delay: before, there are no rates.
  Result<int> run_batch(const live::Proc& proc) {
    live::ProcessTable table(proc);
    live::TopRows rows;
    table.sample();
    live::Ticker ticker(options_.seconds);
    double elapsed = 0;
    for (std::uint64_t i = 0; (count_ == 0 || i < count_) && ticker.wait(); ++i) {
      table.sample();
      elapsed += table.seconds();
      rows.arrange(table, options_.order, options_.kernel_threads);
      if (json_) fmt::print("{}", live::top_json(proc, table, rows, most_, elapsed));
      else print(proc, table, rows, i > 0);
      std::fflush(stdout);
    }
    return kDone;
  }

  void print(const live::Proc& proc, const live::ProcessTable& table, const live::TopRows& rows, bool gap) const {
    const report::Style style = report::style_of_stdout();
    const auto width = static_cast<std::size_t>(style.width);  // command lines may be pages long
    std::string text = gap ? "\n" : "", buffer;
    text += live::top_head(rows.sums(), table.seconds(), table.unreadable()) + "\n" + live::top_titles(width) + "\n";
    const std::size_t shown = most_ > 0 ? std::min(most_, rows.rows().size()) : rows.rows().size();
    for (std::size_t i = 0; i < shown; ++i) {
      text += live::top_line(proc, *rows.rows()[i], table.seconds(), width, buffer) + "\n";
    }
    if (shown < rows.rows().size()) text += fmt::format("{} more\n", rows.rows().size() - shown);
    fmt::print("{}", text);
  }

  live::TopOptions options_;
  std::string sort_ = "faults", root_ = "/proc";
  bool batch_ = false, json_ = false;
  std::uint64_t count_ = 0;
  std::size_t most_ = kBatchRows;
};

}  // namespace

FL_REGISTER_COMMAND(Top, "top", "running processes by page faults, with their mappings");

}  // namespace faultline::cli
