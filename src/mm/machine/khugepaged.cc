#include "mm/machine/khugepaged.h"

namespace faultline::mm {

void Khugepaged::run_until(std::uint64_t now_ns, const std::map<Pid, std::unique_ptr<Process>>& processes) {
  if (next_ns_ == 0) next_ns_ = sleep_ns_;
  for (; next_ns_ <= now_ns; next_ns_ += sleep_ns_) wake(processes);
}

// The faults of a process are none of this: nothing here is counted for it.
void Khugepaged::wake(const std::map<Pid, std::unique_ptr<Process>>& processes) {
  std::uint64_t looked_at = 0;
  for (auto at = processes.lower_bound(pid_); looked_at < pages_to_scan_; ++at) {
    if (at == processes.end()) {
      pid_ = 0;
      cursor_ = 0;
      ++full_scans_;
      return;
    }
    if (at->first != pid_) cursor_ = 0;  // the one it was at is gone
    pid_ = at->first;
    Process& process = *at->second;
    process.run([&](AddressSpace& space) { looked_at += space.scan_for_huge_pages(cursor_, pages_to_scan_ - looked_at, limits_, pages_collapsed_); });
    if (cursor_ != AddressSpace::kScannedAll) return;
    ++pid_;
    cursor_ = 0;
  }
}

}  // namespace faultline::mm
