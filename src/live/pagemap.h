// Which pages of a mapping are resident, which in swap: /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst), readable as smaps is.
#pragma once

#include <cstdint>
#include <vector>

#include "live/proc.h"

namespace faultline::live {

struct ResidencyCell {  // of a stretch of pages
  std::uint64_t pages = 0, present = 0, swapped = 0;
};

struct Residency {
  std::vector<ResidencyCell> cells;  // low to high, of as equal size as pages allow
  std::uint64_t present_pages = 0, swapped_pages = 0;  // the zero page counts as present here, in RSS it does not
  bool sampled = false;  // a larger mapping: some pages of each cell were looked at, the sums above are not known
};

class Pagemap {
 public:
  static Access open(const Proc& proc, Pid pid, Pagemap& pagemap);

  // At most `cells` cells, fewer if there are fewer pages. An empty answer: the kernel has none (the process is gone, [vsyscall]).
  Residency residency(std::uint64_t start, std::uint64_t end, std::size_t cells);
  bool present(std::uint64_t address);

 private:
  Descriptor file_;
  std::vector<std::uint64_t> entries_;
  std::size_t read(std::uint64_t vpn, std::size_t pages);  // into entries_: how many could be read
};

}  // namespace faultline::live
