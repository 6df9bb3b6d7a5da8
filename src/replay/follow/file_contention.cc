#include "replay/follow/file_contention.h"

#include <algorithm>

#include "base/units.h"
#include "mm/backing/open_file.h"

namespace faultline::replay {

namespace {
constexpr std::uint64_t kAtOnceNs = 100'000;  // a fault takes a few microseconds, one in a busy virtual machine much longer
constexpr std::uint64_t kTogether = 16;
}  // namespace

// visits are in the order of time, and there may be many: pages of libc are visited by every process.
bool FileContention::others_at(std::span<const Visit> visits, const Visit& mine) {
  const std::uint64_t from = mine.time_ns - std::min(mine.time_ns, kAtOnceNs - 1);
  auto at = std::partition_point(visits.begin(), visits.end(), [&](const Visit& visit) { return visit.time_ns < from; });
  for (; at != visits.end() && at->time_ns < mine.time_ns + kAtOnceNs; ++at) {
    if (at->tid != mine.tid) return true;
  }
  return false;
}

FileContention::Window FileContention::window_of(const mm::Vma& vma, std::uint64_t address) {
  const std::uint64_t file = vma.backing != nullptr ? reinterpret_cast<std::uintptr_t>(&vma.backing->object()) : vma.file;
  return {file, vma.pgoff_at(page_floor(address)) / kTogether};
}

void FileContention::note(const mm::Vma& vma, trace::Pid pid, const trace::FaultEvent& fault) {
  visits_[window_of(vma, fault.address)].push_back({fault.time_ns, pid, fault.tid});
}

bool FileContention::at_once(const mm::Vma& vma, trace::Pid pid, const trace::FaultEvent& fault) const {
  // Windows are aligned in the address space, the pages of the file may lie across two of these.
  const Window here = window_of(vma, fault.address);
  std::vector<std::span<const Visit>> near;
  for (std::uint64_t at = here.second == 0 ? 0 : here.second - 1; at <= here.second + 1; ++at) {
    const auto found = visits_.find({here.first, at});
    if (found != visits_.end()) near.emplace_back(found->second);
  }
  for (const std::span<const Visit> visits : near) {
    for (const Visit& mine : visits) {
      if (mine.pid == pid && std::any_of(near.begin(), near.end(), [&](std::span<const Visit> others) { return others_at(others, mine); })) return true;
    }
  }
  return false;
}

}  // namespace faultline::replay
