#include "live/view/top_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "analyze/format.h"
#include "live/process_status.h"
#include "live/process_view.h"
#include "live/view/signed_bytes.h"
#include "report/text.h"

namespace faultline::live {
namespace {

using analyze::format_bytes;
using analyze::format_count;

constexpr std::size_t kWithTotals = 96;  // columns; below, the command has more use of them

std::uint64_t key(const ProcessRow& row, TopOrder order) {
  switch (order) {
    case TopOrder::faults: return row.minor_rise + row.major_rise;
    case TopOrder::major: return row.major_rise;
    case TopOrder::rss: return row.stat.rss_bytes;
    case TopOrder::pid: return 0;
  }
  return 0;
}

std::string per_second(std::uint64_t rise, double seconds) {
  return seconds > 0 ? format_count(static_cast<std::uint64_t>(std::llround(static_cast<double>(rise) / seconds))) : "-";
}

}  // namespace

const char* order_title(TopOrder order) {
  switch (order) {
    case TopOrder::faults: return "faults a second";
    case TopOrder::major: return "major faults a second";
    case TopOrder::rss: return "resident memory";
    case TopOrder::pid: return "PID";
  }
  return "";
}

void TopRows::arrange(const ProcessTable& table, TopOrder order, bool kernel_threads) {
  rows_.clear();
  sums_ = {};
  const double seconds = table.seconds();
  std::uint64_t minor = 0, major = 0;
  for (const ProcessRow& row : table.rows()) {
    minor += row.minor_rise;
    major += row.major_rise;
    ++(row.stat.kernel_thread ? sums_.kernel_threads : sums_.processes);
    if (!row.stat.kernel_thread || kernel_threads) rows_.push_back(&row);
  }
  if (seconds > 0) {
    sums_.minor_per_second = static_cast<double>(minor) / seconds;
    sums_.major_per_second = static_cast<double>(major) / seconds;
  }
  std::sort(rows_.begin(), rows_.end(), [order](const ProcessRow* x, const ProcessRow* y) {
    const std::uint64_t a = key(*x, order), b = key(*y, order);
    return a != b ? a > b : x->stat.pid < y->stat.pid;
  });
}

std::string top_head(const TopSums& sums, double seconds, std::size_t unreadable) {
  std::string line = fmt::format("{} processes, {} kernel threads", format_count(sums.processes), format_count(sums.kernel_threads));
  if (seconds > 0) {
    line += fmt::format("; {} minor and {} major faults a second", format_count(static_cast<std::uint64_t>(std::llround(sums.minor_per_second))),
                        format_count(static_cast<std::uint64_t>(std::llround(sums.major_per_second))));
  }
  if (unreadable > 0) line += fmt::format("; {} hidden", format_count(unreadable));
  return line;
}

std::string top_titles(std::size_t width) {
  return report::clip(fmt::format("{:>7} {:>9} {:>7} {:>9} {:>9} {:>8} {}S {}", "PID", "minor/s", "major/s", "RSS", "change", "swapped",
                                  width >= kWithTotals ? fmt::format("{:>11} ", "minor") : "", "command"),
                      width);
}

std::string top_line(const Proc& proc, const ProcessRow& row, double seconds, std::size_t width, std::string& buffer) {
  std::optional<ProcessStatus> status;
  if (proc.read(row.stat.pid, "status", buffer) == Access::ok) status = parse_status(buffer);
  const std::string swapped = !status ? "-" : status->swapped_bytes > 0 ? format_bytes(status->swapped_bytes) : "0";
  const bool rates = row.has_rise && seconds > 0;
  return report::clip(fmt::format("{:>7} {:>9} {:>7} {:>9} {:>9} {:>8} {}{} {}", row.stat.pid, rates ? per_second(row.minor_rise, seconds) : "-",
                                  rates ? per_second(row.major_rise, seconds) : "-", format_bytes(status ? status->rss_bytes : row.stat.rss_bytes), rates ? signed_bytes(row.rss_rise_bytes) : "-",
                                  swapped,
                                  width >= kWithTotals ? fmt::format("{:>11} ", format_count(row.stat.minor_faults)) : "", row.stat.state, command_of(proc, row.stat)),
                      width);
}

}  // namespace faultline::live
