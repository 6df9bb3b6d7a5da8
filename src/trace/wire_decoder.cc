#include "trace/wire_decoder.h"

#include <fmt/format.h>

#include <algorithm>

namespace faultline::trace {

using wire::RecordKind;

namespace {

constexpr StackId kUndefined = ~StackId{0};
constexpr std::uint64_t kMaxRuns = wire::kMaxRecordBytes;  // a run takes at least one byte

HeapOp op_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::calloc: return HeapOp::calloc;
    case RecordKind::realloc: return HeapOp::realloc;
    case RecordKind::free: return HeapOp::free;
    case RecordKind::memalign: return HeapOp::memalign;
    case RecordKind::pvalloc: return HeapOp::pvalloc;
    case RecordKind::mallopt: return HeapOp::mallopt;
    case RecordKind::malloc_trim: return HeapOp::malloc_trim;
    default: return HeapOp::malloc;
  }
}

}  // namespace

WireDecoder::WireDecoder(StackTable& stacks, const TickClock& clock, SideRecords* side)
    : stacks_(stacks), clock_(clock), side_(side), slots_(wire::kStackSlots, kUndefined) {}

void WireDecoder::feed(std::span<const std::uint8_t> block) {
  begin_ = at_ = block.data();
  end_ = begin_ + block.size();
}

bool WireDecoder::bad(const char* what) {
  if (error_.empty()) error_ = what;
  at_ = end_;
  return false;
}

inline bool WireDecoder::varint(std::uint64_t& value) {
  if (end_ - at_ >= 2) [[likely]] {
    if (at_[0] < 0x80) {
      value = *at_++;
      return true;
    }
    if (at_[1] < 0x80) {
      value = (at_[0] & 0x7fu) | std::uint64_t{at_[1]} << 7;
      at_ += 2;
      return true;
    }
  }
  const std::uint8_t* after = wire::get_varint(at_, end_, value);
  if (after == nullptr) return bad("a number that does not end");
  at_ = after;
  return true;
}

bool WireDecoder::text(std::string_view& value) {
  std::uint64_t length = 0;
  if (!varint(length)) return false;
  if (length > static_cast<std::uint64_t>(end_ - at_)) return bad("a text longer than its block");
  value = {reinterpret_cast<const char*>(at_), static_cast<std::size_t>(length)};
  at_ += length;
  return true;
}

inline bool WireDecoder::pointer(std::uint64_t& value, std::uint8_t& flags) {
  std::uint64_t coded = 0;
  if (!varint(coded)) return false;
  flags = coded & 3;
  last_pointer_ += static_cast<std::uint64_t>(wire::unzigzag(coded >> 2));
  value = last_pointer_;
  return true;
}

inline bool WireDecoder::stack(StackId& id) {
  std::uint64_t coded = 0;
  if (!varint(coded)) return false;
  const std::uint64_t slot = coded >> 1;
  if (slot >= wire::kStackSlots) return bad("a stack slot that does not exist");
  if ((coded & 1) == 0) {
    id = slots_[slot];
    return id != kUndefined || bad("a stack that was never defined");
  }
  std::uint64_t count = 0;
  if (!varint(count)) return false;
  if (count > wire::kMaxFrames) return bad("a stack deeper than the protocol allows");
  std::uint64_t frames[wire::kMaxFrames];
  std::uint64_t frame = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    std::uint64_t step = 0;
    if (!varint(step)) return false;
    frame += static_cast<std::uint64_t>(wire::unzigzag(step));
    frames[i] = frame;
  }
  id = slots_[slot] = stacks_.intern({frames, static_cast<std::size_t>(count)});
  return true;
}

bool WireDecoder::next(HeapEvent& event) {
  while (at_ != end_ && error_.empty()) {
    const std::uint8_t head = *at_++;
    const auto kind = static_cast<RecordKind>(head & wire::kKindMask);
    if (kind >= RecordKind::malloc && kind <= RecordKind::malloc_trim) return heap_event(head, event);
    if (!side_record(kind)) return false;
  }
  return false;
}

bool WireDecoder::heap_event(std::uint8_t head, HeapEvent& event) {
  const auto kind = static_cast<RecordKind>(head & wire::kKindMask);
  if (!in_thread_) return bad("an event before its thread's record");
  std::uint64_t delta = 0, duration = 0;
  if (!varint(delta)) return false;
  if ((head & wire::kHasDuration) != 0 && !varint(duration)) return false;
  const std::uint64_t begin = last_tick_ + delta;  // modulo 2^64: see wire.h
  last_tick_ = begin + duration;
  event.a = event.b = event.result = 0;
  std::uint8_t flags = 0, old_flags = 0;
  bool ok = true, has_stack = true;
  switch (kind) {
    case RecordKind::free: ok = pointer(event.b, flags); break;
    case RecordKind::calloc:
    case RecordKind::memalign: ok = varint(event.a) && varint(event.b) && pointer(event.result, flags); break;
    case RecordKind::realloc: ok = varint(event.a) && pointer(event.b, old_flags) && pointer(event.result, flags); break;
    case RecordKind::mallopt:
      ok = varint(event.a) && varint(event.b) && varint(event.result);
      event.a = static_cast<std::uint64_t>(wire::unzigzag(event.a));
      event.b = static_cast<std::uint64_t>(wire::unzigzag(event.b));
      has_stack = false;
      break;
    case RecordKind::malloc_trim: ok = varint(event.a) && varint(event.result); break;
    default: ok = varint(event.a) && pointer(event.result, flags); break;
  }
  event.stack = 0;
  if (!ok || (has_stack && (head & wire::kNoStack) == 0 && !stack(event.stack))) return false;
  event.op = op_of(kind);
  event.flags = (head & wire::kForeignAllocator) != 0 ? std::uint8_t{kForeignHeader} : flags;
  event.tid = tid_;
  event.begin_ns = clock_.ns(begin);
  event.end_ns = duration == 0 ? event.begin_ns : clock_.ns(last_tick_);
  if (!touches_.empty()) {
    for (TouchObservation& touch : touches_) {
      touch.time_ns = event.begin_ns;
      if (side_ != nullptr) side_->touch(std::move(touch));
    }
    touches_.clear();
  }
  return true;
}

bool WireDecoder::side_record(RecordKind kind) {
  std::string_view value;
  std::uint64_t number = 0;
  switch (kind) {
    case RecordKind::pad: return true;
    case RecordKind::thread: return thread_record();
    case RecordKind::touch: return touch_record(false);
    case RecordKind::exit_touch: return touch_record(true);
    case RecordKind::contents: return contents_record();
    case RecordKind::module: return module_record();
    case RecordKind::call: return call_record();
    case RecordKind::start:
    case RecordKind::exit:
    case RecordKind::note:
      if (!text(value)) return false;
      if (side_ != nullptr) side_->text(kind, value);
      return true;
    case RecordKind::modules_stale:
      if (!varint(number)) return false;
      last_tick_ += number;
      return true;
    case RecordKind::thread_end:
      if (!varint(number)) return false;
      last_tick_ += number;
      if (side_ != nullptr) side_->thread_end({clock_.ns(last_tick_), tid_});
      return true;
    default: return bad("a record of an unknown kind");
  }
}

bool WireDecoder::thread_record() {
  std::uint64_t tick = 0, tid = 0;
  if (!varint(tick) || !varint(tid)) return false;
  if (tid > 0x7fffffff) return bad("a thread id that is none");
  last_tick_ = tick;
  last_pointer_ = 0;
  tid_ = static_cast<Tid>(tid);
  in_thread_ = true;
  std::fill(slots_.begin(), slots_.end(), kUndefined);
  touches_.clear();
  return true;
}

bool WireDecoder::touch_record(bool at_exit) {
  TouchObservation touch;
  std::uint64_t runs = 0;
  if (!varint(touch.address) || !varint(runs)) return false;
  if (runs > kMaxRuns || runs > static_cast<std::uint64_t>(end_ - at_)) return bad("more runs of pages than bytes");
  touch.runs.reserve(runs);
  for (std::uint64_t i = 0; i < runs; ++i) {
    std::uint64_t run = 0;
    if (!varint(run)) return false;
    if (run > 0xffffffff) return bad("a run of pages longer than memory");
    touch.runs.push_back(static_cast<std::uint32_t>(run));
  }
  observed(std::move(touch), at_exit);
  return true;
}

void WireDecoder::observed(TouchObservation&& touch, bool at_exit) {
  touch.tid = tid_;
  touch.at_exit = at_exit;
  if (!at_exit) {
    touches_.push_back(std::move(touch));
    return;
  }
  touch.time_ns = clock_.ns(last_tick_);
  if (side_ != nullptr) side_->touch(std::move(touch));
}

bool WireDecoder::contents_record() {
  TouchObservation touch;
  std::uint64_t how = 0, runs = 0;
  if (!varint(touch.address) || !varint(how) || !varint(runs)) return false;
  if (runs == 0 || runs > kMaxRuns || runs > static_cast<std::uint64_t>(end_ - at_)) return bad("contents of no pages, or of more than bytes");
  touch.contents.reserve(runs);
  for (std::uint64_t i = 0; i < runs; ++i) {
    std::uint64_t run = 0;
    if (!varint(run)) return false;
    if (run >> wire::kContentBits > 0xffffffff) return bad("a run of pages longer than memory");
    touch.contents.push_back({.pages = static_cast<std::uint32_t>(run >> wire::kContentBits),
                              .first = static_cast<std::uint8_t>(run & wire::kContentLine),
                              .last = static_cast<std::uint8_t>(run >> wire::kContentLastLineShift & wire::kContentLine),
                              .changed = (run & wire::kContentChanged) != 0,
                              .compared = (run & wire::kContentCompared) != 0,
                              .zero = (run & wire::kContentZero) != 0,
                              .cleared = (run & wire::kContentCleared) != 0});
  }
  observed(std::move(touch), (how & wire::kContentsAtExit) != 0);
  return true;
}

bool WireDecoder::module_record() {
  Module module;
  std::string_view path, build_id;
  if (!varint(module.start) || !varint(module.end) || !varint(module.bias) || !text(path) || !text(build_id)) return false;
  module.path = path;
  module.build_id = build_id;
  if (side_ != nullptr) side_->module(std::move(module));
  return true;
}

bool WireDecoder::call_record() {
  MemoryCall call;
  std::uint64_t delta = 0, duration = 0, kind = 0, result = 0;
  if (!varint(delta) || !varint(duration) || !varint(kind)) return false;
  if (kind > static_cast<std::uint64_t>(CallKind::mprotect)) return bad("a memory call of an unknown kind");
  for (std::uint64_t& argument : call.args) {
    if (!varint(argument)) return false;
  }
  if (!varint(result)) return false;
  const std::uint64_t begin = last_tick_ + delta;
  last_tick_ = begin + duration;
  call.begin_ns = clock_.ns(begin);
  call.end_ns = clock_.ns(last_tick_);
  call.kind = static_cast<CallKind>(kind);
  call.result = wire::unzigzag(result);
  call.source = CallSource::wrapped;
  call.tid = tid_;
  if (side_ != nullptr) side_->call(call);
  return true;
}

}  // namespace faultline::trace
