// faultline stat -p PID | -C NAME [INTERVAL [COUNT]]: faults, rates and memory of running processes, line by line.
#include <fmt/format.h>

#include <cstdio>
#include <map>

#include "cli/command.h"
#include "live/mapping_change.h"
#include "live/process_view.h"
#include "live/process_watch.h"
#include "live/ticker.h"
#include "live/view/stat_view.h"

namespace faultline::cli {
namespace {

constexpr std::size_t kMappingsShown = 12;

class Stat : public Command {
 public:
  void describe(CLI::App& app) override {
    CLI::Option* const pid = app.add_option("-p,--pid", pids_, "a running process (repeatable)")->check(CLI::Range(1, kMostPid))->allow_extra_args(false);
    app.add_option("-C,--name", name_, "all processes of this name, as ps -C")->excludes(pid);
    app.add_option("INTERVAL", interval_, "seconds between two lines; without it one line, of everything since the process began")->check(CLI::Range(0.01, 86400.0));
    app.add_option("COUNT", count_, "lines after the first; without it until Ctrl-C")->check(CLI::Range(1, 1'000'000'000));
    app.add_flag("--mappings", mappings_, "after each line the mappings whose memory changed (else once, at the end, of a single process)");
    app.add_option("--proc", root_, "where proc(5) is mounted, as a host's is in a container")->capture_default_str();
    app.add_flag("--json", json_, "print JSON, an object a line");
  }

  Result<int> run() override {
    if (pids_.empty() && name_.empty()) return fail(make_error("wanted a process, found none: -p PID or -C NAME"));
    if (mappings_ && interval_ <= 0) return fail(make_error("--mappings shows what changes: wanted an INTERVAL (faultline map PID shows what is)"));
    FL_TRY(const live::Proc proc, live::Proc::open(root_));
    proc_ = &proc;
    if (!name_.empty()) FL_CHECK(find_by_name());
    for (const live::Pid pid : pids_) watches_.push_back({live::ProcessWatch(proc, pid), {}, {}, {}, {}});
    columns_.pid = watches_.size() > 1;
    columns_.rates = interval_ > 0;
    FL_CHECK(first_look());
    if (interval_ <= 0) return kDone;
    live::Ticker ticker(interval_);
    for (std::uint64_t line = 0; (count_ == 0 || line < count_) && !watches_.empty() && ticker.wait(); ++line) FL_CHECK(next_look());
    if (!json_ && !mappings_ && watches_.size() == 1 && !columns_.pid) print_changes(watches_.front());
    return kDone;
  }

 private:
  struct Watched {
    live::ProcessWatch watch;
    std::string command;
    std::vector<live::Place> places;  // as last compared
    std::string why_not;              // no places
    std::vector<live::MappingChange> changes;
  };

  Result<void> find_by_name() {
    std::vector<live::Pid> all;
    proc_->pids(all);
    for (const live::Pid pid : all) {
      const auto stat = live::stat_of(*proc_, pid);
      // The kernel keeps 15 bytes of a name: a longer one is meant by its beginning, as by ps.
      if (stat && *stat && (*stat)->command() == std::string_view(name_).substr(0, 15)) pids_.push_back(pid);
      else if (stat && *stat && (*stat)->command() == name_) pids_.push_back(pid);
    }
    if (pids_.empty()) return fail(make_error("wanted a running process of the name '{}', found none", name_));
    return {};
  }

  Result<void> first_look() {
    for (Watched& one : watches_) {
      FL_TRY(const auto sample, one.watch.look());
      if (!sample) return fail(make_error("no process {}", one.watch.pid()));
      one.command = live::command_of(*proc_, sample->stat);
      columns_.pressure = columns_.pressure && sample->pressure.has_value();
      if (interval_ > 0) look_at_mappings(one, false);
      if (!json_ && columns_.pid) fmt::print("{:>7} {}\n", one.watch.pid(), shortened(one.command));
      first_.push_back(*sample);
    }
    if (!json_ && !columns_.pid) fmt::print("{} {}\n", watches_.front().watch.pid(), shortened(watches_.front().command));
    if (!json_) fmt::print("{}\n", live::stat_titles(columns_));
    for (std::size_t i = 0; i < watches_.size(); ++i) print(watches_[i], first_[i]);
    std::fflush(stdout);
    return {};
  }

  Result<void> next_look() {
    for (std::size_t i = 0; i < watches_.size();) {
      Watched& one = watches_[i];
      FL_TRY(const auto sample, one.watch.look());
      if (!sample) {
        if (json_) fmt::print("{{\"pid\":{},\"ended\":true}}\n", one.watch.pid());
        else fmt::print("{} ended\n", one.watch.pid());
        watches_.erase(watches_.begin() + static_cast<std::ptrdiff_t>(i));
        continue;
      }
      if (mappings_) look_at_mappings(one, true);
      print(one, *sample);
      ++i;
    }
    std::fflush(stdout);
    return {};
  }

  // Command lines may be pages long.
  static std::string shortened(const std::string& command) {
    return report::clip(command, static_cast<std::size_t>(report::style_of_stdout().width) - 8);
  }

  void look_at_mappings(Watched& one, bool compare) const {
    auto view = live::view_process(*proc_, one.watch.pid());
    one.changes.clear();
    if (!view) {
      one.why_not = view.error().message();
      return;
    }
    if (compare) one.changes = live::compare_mappings(one.places, view->places);
    one.places = std::move(view->places);
  }

  void print(const Watched& one, const live::WatchSample& sample) const {
    if (json_) {
      const bool asked = mappings_ && sample.interval_ns > 0;
      fmt::print("{}", live::stat_json(sample, one.command, one.watch.pressure_scope(), asked ? &one.changes : nullptr, asked ? one.why_not : std::string()));
      return;
    }
    fmt::print("{}\n", live::stat_line(sample, columns_));
    if (mappings_ && sample.interval_ns > 0) print_table(one);
  }

  void print_table(const Watched& one) const {
    if (!one.why_not.empty()) fmt::print("not shown: mappings: {}\n", one.why_not);
    else fmt::print("{}", live::render_changes(one.changes, kMappingsShown, report::style_of_stdout()));
  }

  void print_changes(Watched& one) const {
    if (one.why_not.empty()) look_at_mappings(one, true);
    if (!one.changes.empty() || !one.why_not.empty()) fmt::print("\n");
    print_table(one);
  }

  std::vector<live::Pid> pids_;
  std::string name_, root_ = "/proc";
  double interval_ = 0;
  std::uint64_t count_ = 0;
  bool mappings_ = false, json_ = false;

  const live::Proc* proc_ = nullptr;
  std::vector<Watched> watches_;
  std::vector<live::WatchSample> first_;
  live::StatColumns columns_;
};

}  // namespace

FL_REGISTER_COMMAND(Stat, "stat", "running processes: faults, rates, resident memory, swap, pressure");

}  // namespace faultline::cli
