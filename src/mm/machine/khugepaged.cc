#include "mm/machine/khugepaged.h"

namespace faultline::mm {

void Khugepaged::run_until(std::uint64_t now_ns, const std::map<Pid, std::unique_ptr<Process>>& processes) {
  for (; next_ns_ <= now_ns; next_ns_ += settings_.sleep_ns) wake(processes);
}

// The faults of a process are none of this: nothing here is counted for it.
void Khugepaged::wake(const std::map<Pid, std::unique_ptr<Process>>& processes) {
  std::uint64_t looked_at = 0;
  for (auto at = processes.lower_bound(pid_); looked_at < settings_.pages_to_scan; ++at) {
    if (at == processes.end()) {
      pid_ = 0;
      cursor_ = 0;
      ++full_scans_;
      return;
    }
    if (at->first != pid_) cursor_ = 0;  // the one it was at is gone
    pid_ = at->first;
    Process& process = *at->second;
    process.run([&](AddressSpace& space) { looked_at += space.scan_for_huge_pages(cursor_, settings_.pages_to_scan - looked_at, pages_collapsed_); });
    if (cursor_ != AddressSpace::kScannedAll) return;
    ++pid_;
    cursor_ = 0;
  }
}

}  // namespace faultline::mm
