#include "live/view/top_screen.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "live/clock.h"
#include "live/view/mappings_screen.h"
#include "live/view/selection.h"
#include "live/view/terminal_screen.h"

namespace faultline::live {
namespace {

constexpr int kHead = 3, kFoot = 1;
constexpr double kFirstLook = 0.5;  // seconds until there are rates to show, at most

double now() { return static_cast<double>(now_ns()) / 1e9; }  // seconds

class TopScreen {
 public:
  TopScreen(const Proc& proc, const TopOptions& options, TerminalScreen& screen) : proc_(proc), options_(options), screen_(screen), table_(proc) {}

  void run() {
    refresh();
    double next = now() + std::min(kFirstLook, options_.seconds);
    for (;;) {
      draw();
      const double left = next - now();
      const int key = screen_.key(static_cast<int>(std::max(0.0, left) * 1000) + (left > 0 ? 1 : 0));
      if (key == 'q') return;
      if (key == ' ' || now() >= next) {
        refresh();
        next = now() + options_.seconds;
      }
      take(key);
    }
  }

 private:
  const Proc& proc_;
  TopOptions options_;
  TerminalScreen& screen_;
  ProcessTable table_;
  TopRows rows_;
  Selection selection_;
  Pid chosen_ = 0;  // followed through new orders, once a key chose it
  std::optional<MappingsScreen> mappings_;
  std::string buffer_;

  void refresh() {
    table_.sample();
    arrange();
    if (mappings_) mappings_->refresh();
  }

  void arrange() {
    rows_.arrange(table_, options_.order, options_.kernel_threads);
    const auto& rows = rows_.rows();
    const auto at = std::find_if(rows.begin(), rows.end(), [this](const ProcessRow* row) { return row->stat.pid == chosen_; });
    if (at != rows.end()) selection_.chosen = static_cast<std::size_t>(at - rows.begin());
    else chosen_ = 0;
  }

  void draw() {
    screen_.clear();
    if (mappings_) mappings_->draw(screen_);
    else draw_processes();
    screen_.show();
  }

  void draw_processes() {
    const auto width = static_cast<std::size_t>(screen_.columns());
    const int shown = std::max(0, screen_.rows() - kHead - kFoot);
    screen_.put(0, top_head(rows_.sums(), table_.seconds(), table_.unreadable()), Look::bold);
    screen_.put(1, fmt::format("by {}, every {:g} s", order_title(options_.order), options_.seconds), Look::dim);
    screen_.put(2, top_titles(width), Look::reverse);
    selection_.fit(rows_.rows().size(), static_cast<std::size_t>(shown));
    for (int row = 0; row < shown; ++row) {
      const std::size_t at = selection_.first + static_cast<std::size_t>(row);
      if (at >= rows_.rows().size()) break;
      const ProcessRow& process = *rows_.rows()[at];
      screen_.put(kHead + row, top_line(proc_, process, table_.seconds(), width, buffer_), at == selection_.chosen ? Look::reverse : Look::plain);
    }
    screen_.put(screen_.rows() - 1, "f faults m major r RSS p PID k kernel  Up/Down choose  Enter mappings  q quit", Look::dim);
  }

  void take(int key) {
    if (mappings_) {
      if (mappings_->key(key, screen_.rows())) return;
      if (key == static_cast<int>(Key::escape)) mappings_.reset();
      return;
    }
    const std::size_t rows = rows_.rows().size();
    const std::ptrdiff_t page = std::max(1, screen_.rows() - kHead - kFoot - 1);
    switch (key) {
      case 'f': return order(TopOrder::faults);
      case 'm': return order(TopOrder::major);
      case 'r': return order(TopOrder::rss);
      case 'p': return order(TopOrder::pid);
      case 'k':
        options_.kernel_threads = !options_.kernel_threads;
        return arrange();
      case static_cast<int>(Key::up): return choose(-1);
      case static_cast<int>(Key::down): return choose(1);
      case static_cast<int>(Key::page_up): return choose(-page);
      case static_cast<int>(Key::page_down): return choose(page);
      case static_cast<int>(Key::home): return choose(-static_cast<std::ptrdiff_t>(rows));
      case static_cast<int>(Key::end): return choose(static_cast<std::ptrdiff_t>(rows));
      case static_cast<int>(Key::enter):
        if (selection_.chosen >= rows) return;
        mappings_.emplace(proc_, rows_.rows()[selection_.chosen]->stat.pid);
        mappings_->refresh();
        return;
      case static_cast<int>(Key::resized): return screen_.repaint();
      default: return;
    }
  }

  void order(TopOrder order) {
    options_.order = order;
    selection_ = {};
    chosen_ = 0;
    arrange();
  }

  void choose(std::ptrdiff_t by) {
    selection_.move(by, rows_.rows().size());
    if (selection_.chosen < rows_.rows().size()) chosen_ = rows_.rows()[selection_.chosen]->stat.pid;
  }
};

}  // namespace

Result<void> run_top_screen(const Proc& proc, const TopOptions& options) {
  FL_TRY(TerminalScreen screen, TerminalScreen::open());
  TopScreen(proc, options, screen).run();
  return {};
}

}  // namespace faultline::live
