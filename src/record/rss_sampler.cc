#include "record/rss_sampler.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace faultline::record {

void RssSampler::watch(pid_t pid) {
  const int fd = open(fmt::format("/proc/{}/statm", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) files_[pid] = Fd(fd);
}

void RssSampler::poll(std::uint64_t now_ns) {
  if (now_ns < next_ns_) return;
  constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
  next_ns_ = now_ns + (now_ns < 10 * kSecond ? 10 * kMs : now_ns < 600 * kSecond ? 50 * kMs : 250 * kMs);
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (auto entry = files_.begin(); entry != files_.end();) {
    char text[128];
    const ssize_t size = pread(entry->second.get(), text, sizeof text - 1, 0);
    unsigned long long total = 0, resident = 0;
    text[size > 0 ? size : 0] = 0;
    if (size <= 0 || std::sscanf(text, "%llu %llu", &total, &resident) != 2) {
      entry = files_.erase(entry);  // ESRCH: it is gone
      continue;
    }
    if (total != 0) {  // a zombie has no memory any more
      samples_[entry->first].add({now_ns, resident * page});
      peaks_[entry->first] = std::max<std::uint64_t>(peaks_[entry->first], resident * page);
    }
    ++entry;
  }
}

std::uint64_t RssSampler::peak_bytes(pid_t pid) const {
  const auto found = peaks_.find(pid);
  return found == peaks_.end() ? 0 : found->second;
}

FaultCounters read_fault_counters(pid_t pid) {
  char text[1024];
  const int fd = open(fmt::format("/proc/{}/stat", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  const ssize_t size = read(fd, text, sizeof text - 1);
  close(fd);
  text[size > 0 ? size : 0] = 0;
  const char* after_name = std::strrchr(text, ')');  // the name may hold anything
  unsigned long long minor = 0, major = 0;
  if (after_name == nullptr || std::sscanf(after_name + 1, " %*c %*d %*d %*d %*d %*d %*u %llu %*u %llu", &minor, &major) != 2) return {};
  return {minor, major};
}

}  // namespace faultline::record
