#include "record/rss_sampler.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <iterator>

namespace faultline::record {

void RssSampler::watch(pid_t pid) {
  const int fd = open(fmt::format("/proc/{}/statm", pid).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd >= 0) watched_[pid].statm = Fd(fd);
}

void RssSampler::poll(std::uint64_t now_ns) {
  constexpr std::uint64_t kMs = 1'000'000, kSecond = 1000 * kMs;
  const bool keep = now_ns >= next_ns_;
  if (keep) next_ns_ = now_ns + (now_ns < 10 * kSecond ? 10 * kMs : now_ns < 600 * kSecond ? 50 * kMs : 250 * kMs);
  const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
  for (auto entry = watched_.begin(); entry != watched_.end();) {
    auto& [pid, watched] = *entry;
    char text[128];
    const ssize_t size = pread(watched.statm.get(), text, sizeof text - 1, 0);
    unsigned long long total = 0, resident = 0;
    text[size > 0 ? size : 0] = 0;
    const bool gone = size <= 0 || std::sscanf(text, "%llu %llu", &total, &resident) != 2;  // ESRCH
    const bool empty = gone || total == 0;                                                  // a zombie has no memory any more
    const trace::RssSample now{now_ns, resident * page};
    if (!empty && now.rss_bytes > watched.highest.rss_bytes) watched.highest = now;
    if ((keep || empty) && watched.highest.rss_bytes != 0) {
      if (empty || watched.highest.time_ns != now_ns) samples_[pid].add(watched.highest);
      if (!empty) samples_[pid].add(now);
      watched.highest = {};
    }
    entry = gone ? watched_.erase(entry) : std::next(entry);
  }
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
