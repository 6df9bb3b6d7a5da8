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
struct BeginningSample {  // the tracepoint's own fields follow
  std::uint64_t id;
  std::uint32_t pid, tid;
  std::uint32_t raw_bytes;
} __attribute__((packed));

perf_event_attr event_attributes(std::uint32_t type, std::uint64_t config, std::uint64_t sample_type) {
  perf_event_attr attributes;
  std::memset(&attributes, 0, sizeof attributes);
  attributes.type = type;
  attributes.config = config;
  attributes.sample_period = 1;
  attributes.sample_type = sample_type;
  attributes.disabled = 1;
  attributes.enable_on_exec = 1;
  attributes.inherit = 1;
  attributes.use_clockid = 1;
  attributes.clockid = CLOCK_MONOTONIC_RAW;
  attributes.watermark = 1;
  attributes.wakeup_watermark = kRingBytes / 4;
  return attributes;
}

}  // namespace

bool PerfFaults::try_attach(pid_t pid, bool exclude_kernel, int& error) {
  rings_.clear();
  for (const int cpu : online_cpus()) {
    Ring ring;
    for (const bool major : {false, true}) {
      perf_event_attr attributes = event_attributes(PERF_TYPE_SOFTWARE, major ? PERF_COUNT_SW_PAGE_FAULTS_MAJ : PERF_COUNT_SW_PAGE_FAULTS_MIN,
                                                    PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_ADDR);
      attributes.exclude_kernel = exclude_kernel;
      const int fd = open_perf_event(attributes, pid, cpu);
      if (fd < 0) {
        error = -fd;
        return false;
      }
      if (auto attached = ring.ring.attach(Fd(fd), kRingBytes); !attached) {
        error = EPERM;
        return false;
      }
      if (major) ring.major_id = ring.ring.last_id();
    }
    rings_.push_back(std::move(ring));
  }
  return true;
}

// Into the rings of the faults themselves, so that both records of a fault are read one after the other. No times: their order is
// that of the ring. Attached whole or not at all.
bool PerfFaults::attach_access(pid_t pid, const KernelTracepoints& tracepoints) {
  const std::vector<int> cpus = online_cpus();
  const Tracepoint* begins[] = {&tracepoints.fault_user, &tracepoints.fault_kernel};
  if (cpus.size() != rings_.size() || !*begins[0] || !*begins[1] || begins[0]->offsets != begins[1]->offsets) return false;
  std::vector<Fd> events;
  for (const int cpu : cpus) {
    for (const Tracepoint* begin : begins) {
      perf_event_attr attributes = event_attributes(PERF_TYPE_TRACEPOINT, begin->id, PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_RAW);
      const int fd = open_perf_event(attributes, pid, cpu);
      if (fd < 0) return false;
      events.emplace_back(fd);
    }
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    Ring& ring = rings_[i / 2];
    if (!ring.ring.attach(std::move(events[i]), kRingBytes)) return false;
    ring.began_ids[i % 2] = ring.ring.last_id();
  }
  address_at_ = begins[0]->offsets.at("address");
  ip_at_ = begins[0]->offsets.at("ip");
  error_at_ = begins[0]->offsets.at("error_code");
  return true;
}

PerfFaults PerfFaults::attach(pid_t pid, const KernelTracepoints* tracepoints) {
  PerfFaults faults;
  int error = 0;
  if (faults.try_attach(pid, false, error)) {
    faults.recorded_ = faults.kernel_mode_ = true;
    faults.access_known_ = tracepoints != nullptr && faults.attach_access(pid, *tracepoints);
  } else if ((error == EACCES || error == EPERM) && faults.try_attach(pid, true, error)) {
    faults.recorded_ = true;
    faults.missing_ = "page faults taken inside system calls: perf_event_paranoid forbids seeing the kernel side (needs CAP_PERFMON)";
  } else {
    faults.rings_.clear();
    faults.missing_ = fmt::format("page faults: perf events are not permitted ({})", std::strerror(error));
  }
  return faults;
}

void PerfFaults::take(const Ring& ring, const std::uint8_t* body, std::size_t size, std::vector<RawFault>& out) {
  std::uint64_t id = 0;
  if (size < sizeof id) return;
  std::memcpy(&id, body, sizeof id);
  if (access_known_ && (id == ring.began_ids[0] || id == ring.began_ids[1])) {
    BeginningSample sample;
    const std::size_t need = std::max({address_at_, ip_at_, error_at_}) + 8;
    if (size < sizeof sample + need) return;
    std::memcpy(&sample, body, sizeof sample);
    auto field = [&](std::size_t offset) {
      std::uint64_t value = 0;
      std::memcpy(&value, body + sizeof sample + offset, sizeof value);
      return value;
    };
    join_.began(static_cast<trace::Tid>(sample.tid), field(address_at_), field(ip_at_), field(error_at_), out);
    return;
  }
  FaultSample sample;
  if (size < sizeof sample) return;
  std::memcpy(&sample, body, sizeof sample);
  RawFault raw;
  raw.pid = static_cast<trace::Pid>(sample.pid);
  raw.fault = {.time_ns = sample.time,
               .address = sample.address,
               .ip = sample.ip,
               .tid = static_cast<trace::Tid>(sample.tid),
               .kind = id == ring.major_id ? trace::FaultKind::major : trace::FaultKind::minor};
  if (access_known_) {
    join_.handled(raw, out);
  } else {
    out.push_back(raw);
  }
}

void PerfFaults::drain(std::vector<RawFault>& out, bool last) {
  for (Ring& ring : rings_) {
    ring.ring.drain([&](const perf_event_header& header, const std::uint8_t* body, std::size_t size) {
      if (header.type == PERF_RECORD_LOST && size >= 16) {
        std::uint64_t lost = 0;
        std::memcpy(&lost, body + 8, sizeof lost);
        lost_ += lost;
      } else if (header.type == PERF_RECORD_SAMPLE) {
        take(ring, body, size, out);
      }
    });
  }
  join_.end_of_round(last, out);
}

}  // namespace faultline::record
