#include "record/perf_calls.h"

#include <asm/perf_regs.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "record/call_table.h"

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

Result<void> PerfCalls::attach_all(pid_t pid) {
  const std::string filter = memory_call_filter();
  for (const int cpu : online_cpus()) {
    PerfRing ring;
    for (const bool enter : {true, false}) {
      perf_event_attr attributes;
      std::memset(&attributes, 0, sizeof attributes);
      attributes.type = PERF_TYPE_TRACEPOINT;
      attributes.config = enter ? enter_.id : exit_.id;
      attributes.sample_period = 1;
      attributes.sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;
      if (enter) {  // tells the ABI: a 32-bit program has other numbers for its calls
        attributes.sample_type |= PERF_SAMPLE_REGS_USER;
        attributes.sample_regs_user = std::uint64_t{1} << PERF_REG_X86_IP;
      }
      attributes.disabled = 1;
      attributes.enable_on_exec = 1;
      attributes.inherit = 1;
      attributes.use_clockid = 1;
      attributes.clockid = CLOCK_MONOTONIC_RAW;
      attributes.watermark = 1;
      attributes.wakeup_watermark = kRingBytes / 4;
      const int fd = open_perf_event(attributes, pid, cpu);
      if (fd < 0) return fail(make_error("perf tracepoints are not permitted ({})", std::strerror(-fd)));
      Fd event(fd);
      if (ioctl(event.get(), PERF_EVENT_IOC_SET_FILTER, filter.c_str()) != 0) {
        return fail(make_error("the kernel takes no tracepoint filter ({})", std::strerror(errno)));
      }
      FL_CHECK(ring.attach(std::move(event), kRingBytes));
      entries_[ring.last_id()] = enter;
    }
    rings_.push_back(std::move(ring));
  }
  return {};
}

Result<std::unique_ptr<CallCapture>> PerfCalls::attach(pid_t pid, const KernelTracepoints& tracepoints) {
  if (!tracepoints.sys_enter || !tracepoints.sys_exit) {
    return fail(make_error("the kernel's system-call tracepoints cannot be read (tracefs needs root)"));
  }
  std::unique_ptr<PerfCalls> calls(new PerfCalls(tracepoints));
  FL_CHECK(calls->attach_all(pid));
  return std::unique_ptr<CallCapture>(std::move(calls));
}

void PerfCalls::take(const std::uint8_t* body, std::size_t size) {
  CallSampleHead head;
  if (size < sizeof head) return;
  std::memcpy(&head, body, sizeof head);
  const auto entry = entries_.find(head.id);
  if (entry == entries_.end() || sizeof head + head.raw_bytes > size) return;
  const std::uint8_t* raw = body + sizeof head;
  Sample sample{.time = head.time,
                .number = 0,
                .pid = static_cast<trace::Pid>(head.pid),
                .tid = static_cast<trace::Tid>(head.tid),
                .enter = entry->second,
                .values = {}};
  auto field = [&](std::size_t offset, std::uint64_t& value) {
    if (offset + sizeof value <= head.raw_bytes) std::memcpy(&value, raw + offset, sizeof value);
  };
  const Tracepoint& tracepoint = sample.enter ? enter_ : exit_;
  field(tracepoint.offsets.at("id"), sample.number);
  if (sample.enter) {
    std::uint64_t abi = 0;
    if (sizeof head + head.raw_bytes + sizeof abi <= size) std::memcpy(&abi, raw + head.raw_bytes, sizeof abi);
    if (abi == PERF_SAMPLE_REGS_ABI_32) {
      ++narrow_;
      return;
    }
    const std::size_t offset = tracepoint.offsets.at("args");
    for (std::size_t i = 0; i < 6; ++i) field(offset + 8 * i, sample.values[i]);
  } else {
    field(tracepoint.offsets.at("ret"), sample.values[0]);
  }
  batch_.push_back(sample);
}

std::vector<std::string> PerfCalls::left_out() const {
  if (narrow_ == 0) return {};
  return {fmt::format("memory calls of 32-bit programs: {} system calls not looked at", narrow_)};
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
    if (entry == entered_.end() || entry->second.number != sample.number || entry->second.time > sample.time) {
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
    raw.call.source = trace::CallSource::tracepoint;
    entered_.erase(entry);
    const auto kind = memory_call(sample.number);
    if (!kind) continue;
    raw.call.kind = *kind;
    if (!normalise(sample.number, raw.call)) continue;
    ask_for_limit(raw.pid, raw.call);
    out.push_back(raw);
  }
  const std::uint64_t newest = batch_.empty() ? 0 : batch_.back().time;
  std::erase_if(waiting, [&](const Sample& s) { return s.time + 1'000'000'000 < newest; });  // its entry was lost
  batch_ = std::move(waiting);
}

}  // namespace faultline::record
