#include "replay/follow/file_contention.h"

#include "base/units.h"
#include "mm/backing/open_file.h"

namespace faultline::replay {

namespace {
constexpr std::uint64_t kAtOnceNs = 100'000;  // a fault takes a few microseconds, one in a busy virtual machine much longer
constexpr std::uint64_t kTogether = 16;
}  // namespace

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
  std::vector<Visit> near;
  for (std::uint64_t at = here.second == 0 ? 0 : here.second - 1; at <= here.second + 1; ++at) {
    const auto found = visits_.find({here.first, at});
    if (found != visits_.end()) near.insert(near.end(), found->second.begin(), found->second.end());
  }
  for (const Visit& mine : near) {
    if (mine.pid != pid) continue;
    for (const Visit& other : near) {
      const std::uint64_t apart = other.time_ns > mine.time_ns ? other.time_ns - mine.time_ns : mine.time_ns - other.time_ns;
      if (other.tid != mine.tid && apart < kAtOnceNs) return true;
    }
  }
  return false;
}

}  // namespace faultline::replay
