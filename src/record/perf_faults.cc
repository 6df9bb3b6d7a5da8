#include "record/perf_faults.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace faultline::record {
namespace {

constexpr std::size_t kRingBytes = 8u << 20;

// Order of the fields is fixed by perf_event_open(2), not by the order of the flags.
struct FaultSample {
  std::uint64_t id, ip;
  std::uint32_t pid, tid;
  std::uint64_t time, address;
};

}  // namespace

bool PerfFaults::try_attach(pid_t pid, bool exclude_kernel, int& error) {
  rings_.clear();
  major_ids_.clear();
  for (const int cpu : online_cpus()) {
    PerfRing ring;
    for (const bool major : {false, true}) {
      perf_event_attr attributes;
      std::memset(&attributes, 0, sizeof attributes);
      attributes.type = PERF_TYPE_SOFTWARE;
      attributes.config = major ? PERF_COUNT_SW_PAGE_FAULTS_MAJ : PERF_COUNT_SW_PAGE_FAULTS_MIN;
      attributes.sample_period = 1;
      attributes.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR;
      attributes.disabled = 1;
      attributes.enable_on_exec = 1;
      attributes.inherit = 1;
      attributes.exclude_kernel = exclude_kernel;
      attributes.use_clockid = 1;
      attributes.clockid = CLOCK_MONOTONIC_RAW;
      attributes.watermark = 1;
      attributes.wakeup_watermark = kRingBytes / 4;
      const int fd = open_perf_event(attributes, pid, cpu);
      if (fd < 0) {
        error = -fd;
        return false;
      }
      if (auto attached = ring.attach(Fd(fd), kRingBytes); !attached) {
        error = EPERM;
        return false;
      }
      if (major) major_ids_.push_back(ring.last_id());
    }
    rings_.push_back(std::move(ring));
  }
  return true;
}

PerfFaults PerfFaults::attach(pid_t pid) {
  PerfFaults faults;
  int error = 0;
  if (faults.try_attach(pid, false, error)) {
    faults.recorded_ = faults.kernel_mode_ = true;
  } else if ((error == EACCES || error == EPERM) && faults.try_attach(pid, true, error)) {
    faults.recorded_ = true;
    faults.missing_ = "page faults taken inside system calls: perf_event_paranoid forbids seeing the kernel side (needs CAP_PERFMON)";
  } else {
    faults.rings_.clear();
    faults.missing_ = fmt::format("page faults: perf events are not permitted ({})", std::strerror(error));
  }
  return faults;
}

void PerfFaults::drain(std::vector<RawFault>& out) {
  for (PerfRing& ring : rings_) {
    ring.drain([&](const perf_event_header& header, const std::uint8_t* body, std::size_t size) {
      if (header.type == PERF_RECORD_LOST && size >= 16) {
        std::uint64_t lost = 0;
        std::memcpy(&lost, body + 8, sizeof lost);
        lost_ += lost;
      } else if (header.type == PERF_RECORD_SAMPLE && size >= sizeof(FaultSample)) {
        FaultSample sample;
        std::memcpy(&sample, body, sizeof sample);
        RawFault raw;
        raw.pid = static_cast<trace::Pid>(sample.pid);
        raw.fault = {.time_ns = sample.time,
                     .address = sample.address,
                     .ip = sample.ip,
                     .tid = static_cast<trace::Tid>(sample.tid),
                     .kind = std::find(major_ids_.begin(), major_ids_.end(), sample.id) != major_ids_.end() ? trace::FaultKind::major
                                                                                                             : trace::FaultKind::minor};
        out.push_back(raw);
      }
    });
  }
}

}  // namespace faultline::record
