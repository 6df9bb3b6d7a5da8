#include "trace/memory_codec.h"

#include "trace/varint_array.h"

namespace faultline::trace {

namespace {

using varint::Input;
using varint::put;
using varint::put_difference;

constexpr std::uint64_t kMprotectWithKey = 31;  // the kind of an mprotect that has a fourth argument

}  // namespace

// A fault: time << 3 | access << 1 | major, address, ip, tid; all as differences. Without kinds of access: time << 1 | major.
// Times are less than 2^59 ns, 18 years.
void FaultEncoder::add(const FaultEvent& fault) {
  const std::uint64_t step = wire::zigzag(static_cast<std::int64_t>(fault.time_ns - last_.time_ns));
  put(bytes_, step << 3 | static_cast<std::uint64_t>(fault.access) << 1 | (fault.kind == FaultKind::major ? 1 : 0));
  put_difference(bytes_, fault.address, last_.address);
  put_difference(bytes_, fault.ip, last_.ip);
  put_difference(bytes_, static_cast<std::uint64_t>(fault.tid), static_cast<std::uint64_t>(last_.tid));
  last_ = fault;
  ++count_;
}

void FaultEncoder::clear() {
  bytes_.clear();
  last_ = {};
  count_ = 0;
}

bool decode_faults(std::span<const std::uint8_t> bytes, bool with_access, std::vector<FaultEvent>& out) {
  Input in(bytes);
  FaultEvent fault;
  while (in.more()) {
    std::uint64_t step = 0;
    if (!in.get(step) || !in.difference(fault.address) || !in.difference(fault.ip) || !in.tid(fault.tid)) return false;
    fault.time_ns += static_cast<std::uint64_t>(wire::unzigzag(step >> (with_access ? 3 : 1)));
    fault.kind = (step & 1) != 0 ? FaultKind::major : FaultKind::minor;
    if (with_access) fault.access = static_cast<FaultAccess>(step >> 1 & 3);
    out.push_back(fault);
  }
  return true;
}

// A call: kind, begin (difference), duration, tid (difference), as many arguments as the call has, result.
void CallEncoder::add(const MemoryCall& call) {
  const bool with_key = call.kind == CallKind::mprotect && call.args[3] != 0;
  put(bytes_, (with_key ? kMprotectWithKey : static_cast<std::uint64_t>(call.kind)) << 1 | (call.source == CallSource::wrapped ? 1 : 0));
  put_difference(bytes_, call.begin_ns, last_ns_);
  put(bytes_, call.end_ns - call.begin_ns);
  put_difference(bytes_, static_cast<std::uint64_t>(call.tid), static_cast<std::uint64_t>(last_tid_));
  for (unsigned i = 0; i < argument_count(call.kind) + (with_key ? 1 : 0); ++i) put(bytes_, call.args[i]);
  put(bytes_, wire::zigzag(call.result));
  last_ns_ = call.begin_ns;
  last_tid_ = call.tid;
  ++count_;
}

void CallEncoder::clear() {
  bytes_.clear();
  last_ns_ = 0;
  last_tid_ = 0;
  count_ = 0;
}

bool decode_calls(std::span<const std::uint8_t> bytes, std::vector<MemoryCall>& out) {
  Input in(bytes);
  MemoryCall call;
  while (in.more()) {
    std::uint64_t kind = 0, duration = 0, result = 0;
    if (!in.get(kind)) return false;
    const bool with_key = kind >> 1 == kMprotectWithKey;
    if (!with_key && kind >> 1 >= kCallKindCount) return false;
    if (!in.difference(call.begin_ns) || !in.get(duration) || !in.tid(call.tid)) return false;
    call.kind = with_key ? CallKind::mprotect : static_cast<CallKind>(kind >> 1);
    call.source = (kind & 1) != 0 ? CallSource::wrapped : CallSource::tracepoint;
    call.end_ns = call.begin_ns + duration;
    const unsigned count = argument_count(call.kind) + (with_key ? 1 : 0);
    for (unsigned i = 0; i < 6; ++i) {
      call.args[i] = 0;
      if (i < count && !in.get(call.args[i])) return false;
    }
    if (!in.get(result)) return false;
    call.result = wire::unzigzag(result);
    out.push_back(call);
  }
  return true;
}

void SampleEncoder::add(const RssSample& sample) {
  put_difference(bytes_, sample.time_ns, last_.time_ns);
  put_difference(bytes_, sample.rss_bytes, last_.rss_bytes);
  last_ = sample;
  ++count_;
}

void SampleEncoder::clear() {
  bytes_.clear();
  last_ = {};
  count_ = 0;
}

bool decode_samples(std::span<const std::uint8_t> bytes, std::vector<RssSample>& out) {
  Input in(bytes);
  RssSample sample;
  while (in.more()) {
    if (!in.difference(sample.time_ns) || !in.difference(sample.rss_bytes)) return false;
    out.push_back(sample);
  }
  return true;
}

}  // namespace faultline::trace
