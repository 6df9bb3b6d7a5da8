// Khugepaged: the kernel's thread that makes huge pages of small ones now and then. Counterpart: khugepaged_do_scan() (mm/khugepaged.c).
//
// Approximated: processes are visited in the order of their numbers (Linux: in the order they first had memory it may look at), and each
// waking looks at once, where Linux takes its time. Which regions become huge pages is Linux's rule (AddressSpace::scan_for_huge_pages).
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "mm/kernel_profile.h"
#include "mm/machine/process.h"

namespace faultline::mm {

class Khugepaged {
 public:
  explicit Khugepaged(const KhugepagedSettings& settings) : settings_(settings), next_ns_(settings.sleep_ns) {}

  // Wakes as often as it is due until `now_ns`.
  void run_until(std::uint64_t now_ns, const std::map<Pid, std::unique_ptr<Process>>& processes);

  std::uint64_t full_scans() const { return full_scans_; }            // sysfs khugepaged/full_scans
  std::uint64_t pages_collapsed() const { return pages_collapsed_; }  // huge pages made; sysfs khugepaged/pages_collapsed

 private:
  void wake(const std::map<Pid, std::unique_ptr<Process>>& processes);

  KhugepagedSettings settings_;
  std::uint64_t next_ns_;
  Pid pid_ = 0;               // goes on with this process or the next,
  std::uint64_t cursor_ = 0;  // from here
  std::uint64_t full_scans_ = 0, pages_collapsed_ = 0;
};

}  // namespace faultline::mm
