#include "record/perf_ring.h"

#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

namespace faultline::record {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) close(fd_);
    fd_ = other.release();
  }
  return *this;
}

Fd::~Fd() {
  if (fd_ >= 0) close(fd_);
}

int Fd::release() { return std::exchange(fd_, -1); }

int open_perf_event(perf_event_attr& attributes, pid_t pid, int cpu) {
  attributes.size = sizeof attributes;
  const long fd = syscall(SYS_perf_event_open, &attributes, pid, cpu, -1, PERF_FLAG_FD_CLOEXEC);
  return fd >= 0 ? static_cast<int>(fd) : -errno;
}

PerfRing::PerfRing(PerfRing&& other) noexcept
    : events_(std::move(other.events_)),
      mapping_(std::exchange(other.mapping_, nullptr)),
      data_bytes_(std::exchange(other.data_bytes_, 0)),
      last_id_(other.last_id_) {}

PerfRing::~PerfRing() {
  if (mapping_ != nullptr) munmap(mapping_, data_bytes_ + 4096);
}

Result<void> PerfRing::attach(Fd event, std::size_t wanted_bytes) {
  if (ioctl(event.get(), PERF_EVENT_IOC_ID, &last_id_) != 0) {
    return fail(make_error("perf event: no id: {}", std::strerror(errno)));
  }
  if (mapping_ == nullptr) {
    for (std::size_t bytes = wanted_bytes; bytes >= 64 * 1024; bytes /= 2) {
      void* mapped = mmap(nullptr, bytes + 4096, PROT_READ | PROT_WRITE, MAP_SHARED, event.get(), 0);
      if (mapped != MAP_FAILED) {
        mapping_ = mapped;
        data_bytes_ = bytes;
        break;
      }
    }
    if (mapping_ == nullptr) return fail(make_error("perf event: no ring buffer: {}", std::strerror(errno)));
  } else if (ioctl(event.get(), PERF_EVENT_IOC_SET_OUTPUT, events_.front().get()) != 0) {
    return fail(make_error("perf event: cannot share a ring buffer: {}", std::strerror(errno)));
  }
  events_.push_back(std::move(event));
  return {};
}

void PerfRing::drain(const std::function<void(const perf_event_header&, const std::uint8_t*, std::size_t)>& record) {
  if (mapping_ == nullptr) return;
  auto* page = static_cast<perf_event_mmap_page*>(mapping_);
  const auto* data = static_cast<const std::uint8_t*>(mapping_) + 4096;
  const std::uint64_t head = __atomic_load_n(&page->data_head, __ATOMIC_ACQUIRE);
  std::uint64_t tail = page->data_tail;
  while (tail < head) {
    perf_event_header header;
    const std::size_t at = tail & (data_bytes_ - 1);
    std::memcpy(&header, data + at, sizeof header);  // records are 8-byte aligned: the header never straddles the end
    if (header.size < sizeof header) break;
    const std::uint8_t* body = data + at + sizeof header;
    if (at + header.size > data_bytes_) {
      wrapped_.resize(header.size);
      const std::size_t first = data_bytes_ - at;
      std::memcpy(wrapped_.data(), data + at, first);
      std::memcpy(wrapped_.data() + first, data, header.size - first);
      body = wrapped_.data() + sizeof header;
    }
    record(header, body, header.size - sizeof header);
    tail += header.size;
  }
  __atomic_store_n(&page->data_tail, tail, __ATOMIC_RELEASE);
}

void close_events_in_background() {
  const pid_t helper = fork();
  if (helper == 0) {
    if (fork() == 0) {
      // Nobody may wait for us at the other end of a pipe, nor for our group.
      for (const int fd : {0, 1, 2}) close(fd);
      setsid();
      usleep(10'000);  // until the recorder has closed its own
    }
    _exit(0);
  }
  if (helper > 0) waitpid(helper, nullptr, 0);
}

namespace {

// Where there is no /sys, as in a small container: a line "cpuN ..." for each that is online. proc_stat(5).
std::vector<int> cpus_of_proc_stat() {
  std::vector<int> cpus;
  std::ifstream file("/proc/stat");
  for (std::string line; std::getline(file, line);) {
    int cpu = 0;
    const bool one = line.size() > 3 && line[3] != ' ';  // "cpu  ..." is all of them together
    if (one && std::sscanf(line.c_str(), "cpu%d ", &cpu) == 1) cpus.push_back(cpu);
  }
  return cpus;
}

}  // namespace

std::vector<int> online_cpus() {
  std::vector<int> cpus;
  std::ifstream file("/sys/devices/system/cpu/online");
  std::string piece;
  while (std::getline(file, piece, ',')) {
    int first = 0, last = 0;
    const int fields = std::sscanf(piece.c_str(), "%d-%d", &first, &last);
    if (fields < 1) continue;
    for (int cpu = first; cpu <= (fields == 2 ? last : first); ++cpu) cpus.push_back(cpu);
  }
  if (cpus.empty()) cpus = cpus_of_proc_stat();
  if (cpus.empty()) cpus.push_back(0);
  return cpus;
}

}  // namespace faultline::record
