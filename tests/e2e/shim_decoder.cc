#include "shim_recorder.h"

#include <fmt/format.h>

namespace faultline::test {

namespace {

using wire::RecordKind;

struct Decoder {
  const std::uint8_t* at;
  const std::uint8_t* end;
  bool ok = true;
  std::uint64_t last_tsc = 0, last_pointer = 0;
  std::int32_t tid = 0;
  std::vector<std::vector<std::uint64_t>> slots = std::vector<std::vector<std::uint64_t>>(wire::kStackSlots);

  std::uint64_t number() {
    std::uint64_t v = 0;
    const std::uint8_t* next = ok ? wire::get_varint(at, end, v) : nullptr;
    if (next == nullptr) {
      ok = false;
      return 0;
    }
    at = next;
    return v;
  }
  std::int64_t signed_number() { return wire::unzigzag(number()); }
  std::uint64_t pointer(unsigned& flags) {
    const std::uint64_t v = number();
    flags = v & 3;
    return last_pointer += static_cast<std::uint64_t>(wire::unzigzag(v >> 2));
  }
  std::string text() {
    const std::uint64_t n = number();
    if (!ok || n > static_cast<std::uint64_t>(end - at)) {
      ok = false;
      return {};
    }
    std::string s(at, at + n);
    at += n;
    return s;
  }
  std::vector<std::uint64_t> stack() {
    const std::uint64_t v = number();
    if ((v >> 1) >= wire::kStackSlots) ok = false;
    if (!ok) return {};
    auto& slot = slots[v >> 1];
    if ((v & 1) != 0) {
      slot.clear();
      const std::uint64_t count = number();
      if (count > wire::kMaxFrames) ok = false;
      std::uint64_t frame = 0;
      for (std::uint64_t i = 0; ok && i < count; ++i) slot.push_back(frame += static_cast<std::uint64_t>(signed_number()));
    } else if (slot.empty()) {
      ok = false;  // refers to a stack never defined
    }
    return slot;
  }
};

bool decode_one(Decoder& d, WireEvent& e) {
  const std::uint8_t head = *d.at++;
  e.kind = static_cast<RecordKind>(head & wire::kKindMask);
  e.foreign = (head & wire::kForeignAllocator) != 0;
  e.has_stack = (head & wire::kNoStack) == 0;
  const auto stamp = [&] {
    e.begin = d.last_tsc + d.number();
    if ((head & wire::kHasDuration) != 0) e.duration = d.number();
    d.last_tsc = e.begin + e.duration;
  };
  const auto stack = [&] {
    if (e.has_stack) e.frames = d.stack();
  };
  switch (e.kind) {
    case RecordKind::pad: return true;
    case RecordKind::thread:
      d.last_tsc = d.number();
      d.tid = static_cast<std::int32_t>(d.number());
      d.last_pointer = 0;
      for (auto& s : d.slots) s.clear();
      break;
    case RecordKind::malloc:
    case RecordKind::pvalloc: stamp(); e.size = d.number(); e.pointer = d.pointer(e.flags); stack(); break;
    case RecordKind::calloc: stamp(); e.second = d.number(); e.size = d.number(); e.pointer = d.pointer(e.flags); stack(); break;
    case RecordKind::memalign: stamp(); e.size = d.number(); e.second = d.number(); e.pointer = d.pointer(e.flags); stack(); break;
    case RecordKind::realloc:
      stamp();
      e.size = d.number();
      e.old_pointer = d.pointer(e.old_flags);
      e.pointer = d.pointer(e.flags);
      stack();
      break;
    case RecordKind::free: stamp(); e.pointer = d.pointer(e.flags); stack(); break;
    case RecordKind::mallopt:
      stamp();
      e.size = static_cast<std::uint64_t>(d.signed_number());
      e.second = static_cast<std::uint64_t>(d.signed_number());
      e.result = static_cast<std::int64_t>(d.number());
      break;
    case RecordKind::malloc_trim: stamp(); e.size = d.number(); e.result = static_cast<std::int64_t>(d.number()); stack(); break;
    case RecordKind::touch:
    case RecordKind::exit_touch: {
      e.pointer = d.number();
      const std::uint64_t count = d.number();
      for (std::uint64_t i = 0; d.ok && i < count; ++i) e.runs.push_back(d.number());
      break;
    }
    case RecordKind::contents: {
      e.pointer = d.number();
      e.second = d.number();
      const std::uint64_t count = d.number();
      for (std::uint64_t i = 0; d.ok && i < count; ++i) e.runs.push_back(d.number());
      break;
    }
    case RecordKind::module:
      e.module_start = d.number();
      e.module_end = d.number();
      d.number();
      e.text = d.text();
      e.build_id = d.text();
      break;
    case RecordKind::start:
    case RecordKind::exit:
    case RecordKind::note: e.text = d.text(); break;
    case RecordKind::call:
      e.begin = d.last_tsc + d.number();
      e.duration = d.number();
      d.last_tsc = e.begin + e.duration;
      e.second = d.number();
      for (auto& a : e.arguments) a = d.number();
      e.result = d.signed_number();
      break;
    case RecordKind::modules_stale:
    case RecordKind::thread_end: d.last_tsc += d.number(); break;
    default: return false;
  }
  e.tid = d.tid;
  return d.ok;
}

}  // namespace

RecordedProcess decode(const wire::Hello& hello, const std::vector<std::vector<std::uint8_t>>& rings) {
  RecordedProcess process;
  process.hello = hello;
  for (unsigned ring = 0; ring < rings.size(); ++ring) {
    Decoder d{rings[ring].data(), rings[ring].data() + rings[ring].size()};
    process.bytes += rings[ring].size();
    while (d.at != d.end) {
      const auto offset = d.at - rings[ring].data();
      WireEvent event;
      event.ring = ring;
      if (!decode_one(d, event)) {
        process.error = fmt::format("ring {}: bad record of kind {} at byte {} of {}", ring, static_cast<int>(event.kind), offset, rings[ring].size());
        break;
      }
      if (event.kind != RecordKind::pad) process.events.push_back(std::move(event));
    }
  }
  return process;
}

std::vector<const WireEvent*> RecordedProcess::of(RecordKind kind) const {
  std::vector<const WireEvent*> found;
  for (const auto& e : events) {
    if (e.kind == kind) found.push_back(&e);
  }
  return found;
}

const WireEvent* RecordedProcess::allocation_of(std::uint64_t size) const {
  for (const auto& e : events) {
    if (e.size == size && e.kind >= RecordKind::malloc && e.kind <= RecordKind::pvalloc && e.kind != RecordKind::free) return &e;
  }
  return nullptr;
}

std::string RecordedProcess::start_text() const {
  std::string text;
  for (const auto* e : of(RecordKind::start)) text += e->text;
  return text;
}

std::string RecordedProcess::exit_text() const {
  std::string text;
  for (const auto* e : of(RecordKind::exit)) {
    if (e->text.rfind("exit_number=", 0) == 0) text.clear();
    text += e->text;
  }
  return text;
}

std::string RecordedProcess::start_value(const std::string& key) const {
  const std::string text = fmt::format("\n{}", start_text());
  const auto at = text.find(fmt::format("\n{}=", key));
  if (at == std::string::npos) return {};
  const auto begin = at + key.size() + 2;
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace faultline::test
