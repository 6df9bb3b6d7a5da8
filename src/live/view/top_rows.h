// What `top` shows of a sample: the processes in an order, as many as fit.
#pragma once

#include <string>
#include <vector>

#include "live/process_table.h"

namespace faultline::live {

enum class TopOrder : std::uint8_t { faults, major, rss, pid };
const char* order_title(TopOrder order);

struct TopSums {
  std::size_t processes = 0, kernel_threads = 0;
  double minor_per_second = 0, major_per_second = 0;  // of all
};

class TopRows {
 public:
  // Sorts the table's rows: the order's greatest first, of equal ones the lowest pid.
  void arrange(const ProcessTable& table, TopOrder order, bool kernel_threads);
  const std::vector<const ProcessRow*>& rows() const { return rows_; }
  const TopSums& sums() const { return sums_; }

 private:
  std::vector<const ProcessRow*> rows_;
  TopSums sums_;
};

std::string top_head(const TopSums& sums, double seconds, std::size_t unreadable);
std::string top_titles(std::size_t width);
// One row of at most `width` columns. What is shown is read once more: RSS and swap of status are exact, that of stat may lag.
std::string top_line(const Proc& proc, const ProcessRow& row, double seconds, std::size_t width, std::string& buffer);

// A refresh as one line of JSON, the first `most` processes (0: all).
std::string top_json(const Proc& proc, const ProcessTable& table, const TopRows& rows, std::size_t most, double elapsed_seconds);

}  // namespace faultline::live
