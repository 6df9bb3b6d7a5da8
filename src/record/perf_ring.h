// One perf_event ring buffer and the events that write into it. perf_event_open(2).
#pragma once

#include <linux/perf_event.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "base/result.h"

namespace faultline::record {

// A file descriptor that closes itself.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd();
  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release();

 private:
  int fd_ = -1;
};

// perf_event_open for one task and one CPU; -errno on failure.
int open_perf_event(perf_event_attr& attributes, pid_t pid, int cpu);

class PerfRing {
 public:
  // Events are added with attach(); the first one owns the mapping, the others are redirected into it.
  // wanted_bytes is halved until the kernel grants it (perf_event_mlock_kb). Fails with the last errno in words.
  Result<void> attach(Fd event, std::size_t wanted_bytes);

  // The id under which samples of the event attached last appear (PERF_SAMPLE_IDENTIFIER).
  std::uint64_t last_id() const { return last_id_; }

  // Calls record(header, body, size) for everything written since the last time; body follows the header.
  void drain(const std::function<void(const perf_event_header& header, const std::uint8_t* body, std::size_t size)>& record);

  PerfRing() = default;
  PerfRing(PerfRing&& other) noexcept;
  PerfRing& operator=(PerfRing&&) = delete;
  ~PerfRing();

 private:
  std::vector<Fd> events_;
  void* mapping_ = nullptr;
  std::size_t data_bytes_ = 0;
  std::uint64_t last_id_ = 0;
  std::vector<std::uint8_t> wrapped_;  // a record that straddles the end of the buffer, in one piece
};

// Closing the last event of a tracepoint waits for the kernel's grace periods, some 25 ms each, one after the other. Called just
// before closing: a process of its own inherits the descriptors, so that its end waits instead of ours.
void close_events_in_background();

// CPUs that can run tasks, as /sys/devices/system/cpu/online lists them, or /proc/stat. What runs on one that is missing here would
// not be seen, and nobody would know.
std::vector<int> online_cpus();

}  // namespace faultline::record
