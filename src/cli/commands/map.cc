// faultline map PID: the address space of a running process, low to high, with residency.
#include <fmt/format.h>

#include "cli/command.h"
#include "live/pagemap.h"
#include "live/process_view.h"
#include "live/view/map_view.h"

namespace faultline::cli {
namespace {

class Map : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("PID", pid_, "a running process")->required()->check(CLI::Range(1, kMostPid));
    app.add_option("--proc", root_, "where proc(5) is mounted, as a host's is in a container")->capture_default_str();
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    FL_TRY(const live::Proc proc, live::Proc::open(root_));
    FL_TRY(const live::ProcessView view, live::view_process(proc, pid_));
    const report::Style style = report::style_of_stdout();
    const std::size_t cells = live::bar_columns_for(json_ ? 1000 : static_cast<std::size_t>(report::Page(style).style().width));
    std::vector<live::Residency> residency(view.places.size());
    live::Pagemap pagemap;
    if (!view.places.empty() && live::Pagemap::open(proc, pid_, pagemap) == live::Access::ok) {
      for (std::size_t i = 0; i < view.places.size(); ++i) {
        const live::Mapping& mapping = view.places[i].mapping;
        residency[i] = pagemap.residency(mapping.start, mapping.end, cells);
      }
    }
    fmt::print("{}", json_ ? live::render_map_json(view, residency) : live::render_map(view, residency, style));
    return kDone;
  }

 private:
  live::Pid pid_ = 0;
  std::string root_ = "/proc";
  bool json_ = false;
};

}  // namespace

FL_REGISTER_COMMAND(Map, "map", "a running process: its address space low to high, with residency");

}  // namespace faultline::cli
