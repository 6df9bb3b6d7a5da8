#include "trace/memory_codec.h"

#include "trace/wire.h"

namespace faultline::trace {

namespace {

void put(std::vector<std::uint8_t>& out, std::uint64_t value) {
  std::uint8_t bytes[10];
  out.insert(out.end(), bytes, wire::put_varint(bytes, value));
}
void put_difference(std::vector<std::uint8_t>& out, std::uint64_t value, std::uint64_t before) {
  put(out, wire::zigzag(static_cast<std::int64_t>(value - before)));
}

struct Input {
  const std::uint8_t* at;
  const std::uint8_t* end;

  explicit Input(std::span<const std::uint8_t> bytes) : at(bytes.data()), end(bytes.data() + bytes.size()) {}
  bool more() const { return at != nullptr && at != end; }
  bool get(std::uint64_t& value) {
    at = wire::get_varint(at, end, value);
    return at != nullptr;
  }
  bool difference(std::uint64_t& value) {  // value: the one before, then the new one
    std::uint64_t step = 0;
    if (!get(step)) return false;
    value += static_cast<std::uint64_t>(wire::unzigzag(step));
    return true;
  }
  bool tid(Tid& value) {
    auto wide = static_cast<std::uint64_t>(value);
    if (!difference(wide) || wide > 0x7fffffff) return false;
    value = static_cast<Tid>(wide);
    return true;
  }
};

}  // namespace

// A fault: time << 1 | major, address, ip, tid; all as differences.
void FaultEncoder::add(const FaultEvent& fault) {
  const std::uint64_t step = wire::zigzag(static_cast<std::int64_t>(fault.time_ns - last_.time_ns));
  put(bytes_, step << 1 | (fault.kind == FaultKind::major ? 1 : 0));
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

bool decode_faults(std::span<const std::uint8_t> bytes, std::vector<FaultEvent>& out) {
  Input in(bytes);
  FaultEvent fault;
  while (in.more()) {
    std::uint64_t step = 0;
    if (!in.get(step) || !in.difference(fault.address) || !in.difference(fault.ip) || !in.tid(fault.tid)) return false;
    fault.time_ns += static_cast<std::uint64_t>(wire::unzigzag(step >> 1));
    fault.kind = (step & 1) != 0 ? FaultKind::major : FaultKind::minor;
    out.push_back(fault);
  }
  return true;
}

// A call: kind, begin (difference), duration, tid (difference), as many arguments as the call has, result.
namespace {
unsigned argument_count(CallKind kind) {
  switch (kind) {
    case CallKind::brk: return 1;
    case CallKind::munmap: return 2;
    case CallKind::mremap: return 5;
    case CallKind::mmap: return 6;
    case CallKind::madvise:
    case CallKind::mprotect: return 3;
  }
  return 6;
}
}  // namespace

void CallEncoder::add(const MemoryCall& call) {
  put(bytes_, static_cast<std::uint64_t>(call.kind) << 1 | (call.source == CallSource::wrapped ? 1 : 0));
  put_difference(bytes_, call.begin_ns, last_ns_);
  put(bytes_, call.end_ns - call.begin_ns);
  put_difference(bytes_, static_cast<std::uint64_t>(call.tid), static_cast<std::uint64_t>(last_tid_));
  for (unsigned i = 0; i < argument_count(call.kind); ++i) put(bytes_, call.args[i]);
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
    if (!in.get(kind) || (kind >> 1) > static_cast<std::uint64_t>(CallKind::mprotect)) return false;
    if (!in.difference(call.begin_ns) || !in.get(duration) || !in.tid(call.tid)) return false;
    call.kind = static_cast<CallKind>(kind >> 1);
    call.source = (kind & 1) != 0 ? CallSource::wrapped : CallSource::tracepoint;
    call.end_ns = call.begin_ns + duration;
    for (unsigned i = 0; i < 6; ++i) {
      call.args[i] = 0;
      if (i < argument_count(call.kind) && !in.get(call.args[i])) return false;
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
