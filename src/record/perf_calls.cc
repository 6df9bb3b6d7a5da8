#include "record/perf_calls.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

namespace faultline::record {
namespace {

constexpr std::size_t kRingBytes = 4u << 20;

struct CallSampleHead {
  std::uint64_t id;
  std::uint32_t pid, tid;
  std::uint64_t time;
  std::uint32_t raw_bytes;
} __attribute__((packed));

}  // namespace

bool PerfCalls::attach_all(pid_t pid, int& error) {
  for (const int cpu : online_cpus()) {
    PerfRing ring;
    for (const CallTracepoints& call : tracepoints_) {
      for (const bool enter : {true, false}) {
        perf_event_attr attributes;
        std::memset(&attributes, 0, sizeof attributes);
        attributes.type = PERF_TYPE_TRACEPOINT;
        attributes.config = enter ? call.enter_id : call.exit_id;
        attributes.sample_period = 1;
        attributes.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;
        attributes.disabled = 1;
        attributes.enable_on_exec = 1;
        attributes.inherit = 1;
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
        sources_[ring.last_id()] = {&call, enter};
      }
    }
    rings_.push_back(std::move(ring));
  }
  return true;
}

PerfCalls PerfCalls::attach(pid_t pid) {
  PerfCalls calls;
  auto tracepoints = read_call_tracepoints();
  int error = 0;
  if (!tracepoints) {
    calls.missing_ = fmt::format("memory calls inside libc: {}", tracepoints.error().message());
    return calls;
  }
  calls.tracepoints_ = std::move(*tracepoints);
  if (calls.attach_all(pid, error)) {
    calls.exact_ = true;
  } else {
    calls.rings_.clear();
    calls.missing_ = fmt::format("memory calls inside libc: perf tracepoints are not permitted ({})", std::strerror(error));
  }
  return calls;
}

void PerfCalls::take(const std::uint8_t* body, std::size_t size) {
  CallSampleHead head;
  if (size < sizeof head) return;
  std::memcpy(&head, body, sizeof head);
  const auto source = sources_.find(head.id);
  if (source == sources_.end() || sizeof head + head.raw_bytes > size) return;
  const std::uint8_t* raw = body + sizeof head;
  Sample sample{.time = head.time,
                .pid = static_cast<trace::Pid>(head.pid),
                .tid = static_cast<trace::Tid>(head.tid),
                .kind = source->second.tracepoints->kind,
                .enter = source->second.enter,
                .values = {}};
  auto field = [&](std::size_t offset, std::uint64_t& value) {
    if (offset + sizeof value <= head.raw_bytes) std::memcpy(&value, raw + offset, sizeof value);
  };
  if (sample.enter) {
    const auto& offsets = source->second.tracepoints->argument_offsets;
    for (std::size_t i = 0; i < std::min<std::size_t>(offsets.size(), 6); ++i) field(offsets[i], sample.values[i]);
  } else {
    field(source->second.tracepoints->result_offset, sample.values[0]);
  }
  batch_.push_back(sample);
}

void PerfCalls::drain(std::vector<RawCall>& out) {
  for (PerfRing& ring : rings_) {
    ring.drain([&](const perf_event_header& header, const std::uint8_t* body, std::size_t size) {
      if (header.type == PERF_RECORD_LOST && size >= 16) {
        std::uint64_t lost = 0;
        std::memcpy(&lost, body + 8, sizeof lost);
        lost_ += lost;
      } else if (header.type == PERF_RECORD_SAMPLE) {
        take(body, size);
      }
    });
  }
  // A thread may enter on one CPU and leave on another: order by time before pairing. An exit whose entry lies in a ring
  // that was read too early waits for the next round.
  std::stable_sort(batch_.begin(), batch_.end(), [](const Sample& x, const Sample& y) { return x.time < y.time; });
  std::vector<Sample> waiting;
  for (const Sample& sample : batch_) {
    if (sample.enter) {
      entered_[sample.tid] = sample;
      continue;
    }
    const auto entry = entered_.find(sample.tid);
    if (entry == entered_.end() || entry->second.kind != sample.kind) {
      waiting.push_back(sample);
      continue;
    }
    RawCall raw;
    raw.pid = sample.pid;
    raw.call.begin_ns = entry->second.time;
    raw.call.end_ns = sample.time;
    std::copy(std::begin(entry->second.values), std::end(entry->second.values), std::begin(raw.call.args));
    raw.call.result = static_cast<std::int64_t>(sample.values[0]);
    raw.call.tid = sample.tid;
    raw.call.kind = sample.kind;
    raw.call.source = trace::CallSource::tracepoint;
    out.push_back(raw);
    entered_.erase(entry);
  }
  const std::uint64_t newest = batch_.empty() ? 0 : batch_.back().time;
  std::erase_if(waiting, [&](const Sample& s) { return s.time + 1'000'000'000 < newest; });  // its entry was lost
  batch_ = std::move(waiting);
}

}  // namespace faultline::record
