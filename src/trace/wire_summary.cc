// Walks records by their shape alone: a few nanoseconds each, so that the recorder can index what it writes.
#include "trace/file_format.h"
#include "trace/wire_decoder.h"

namespace faultline::trace {

using wire::RecordKind;

namespace {

// v number, t text, r runs of pages, s optional stack. The tick and the optional duration come before.
const char* shape_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::free: return "vs";
    case RecordKind::malloc:
    case RecordKind::pvalloc:
    case RecordKind::malloc_trim: return "vvs";
    case RecordKind::calloc:
    case RecordKind::realloc:
    case RecordKind::memalign: return "vvvs";
    case RecordKind::mallopt: return "vvv";
    case RecordKind::touch:
    case RecordKind::exit_touch: return "vr";
    case RecordKind::contents: return "vvr";
    case RecordKind::module: return "vvvtt";
    case RecordKind::start:
    case RecordKind::exit:
    case RecordKind::note: return "t";
    case RecordKind::call: return "vvvvvvvv";
    default: return "";
  }
}

bool is_stamped(RecordKind kind) { return kind == RecordKind::modules_stale || kind == RecordKind::thread_end; }

std::uint16_t flag_of(RecordKind kind) {
  switch (kind) {
    case RecordKind::touch:
    case RecordKind::exit_touch:
    case RecordKind::contents: return kHasTouches;
    case RecordKind::module: return kHasModules;
    case RecordKind::start: return kHasStart;
    case RecordKind::exit: return kHasExit;
    case RecordKind::note: return kHasNotes;
    case RecordKind::call: return kHasCalls;
    case RecordKind::thread_end: return kHasThreadEnds;
    default: return 0;
  }
}

struct Walker {
  const std::uint8_t* at;
  const std::uint8_t* end;

  bool varint(std::uint64_t& value) {
    at = wire::get_varint(at, end, value);
    return at != nullptr;
  }
  bool skip() {
    while (at != end && *at >= 0x80) ++at;
    if (at == end) return false;
    ++at;
    return true;
  }
  bool skip_bytes() {
    std::uint64_t length = 0;
    if (!varint(length) || length > static_cast<std::uint64_t>(end - at)) return false;
    at += length;
    return true;
  }
  bool skip_count() {
    std::uint64_t count = 0;
    if (!varint(count) || count > static_cast<std::uint64_t>(end - at)) return false;
    for (; count > 0; --count) {
      if (!skip()) return false;
    }
    return true;
  }
  bool skip_stack() {
    std::uint64_t slot = 0;
    return varint(slot) && ((slot & 1) == 0 || skip_count());
  }
  bool field(char shape, bool has_stack) {
    switch (shape) {
      case 't': return skip_bytes();
      case 'r': return skip_count();
      case 's': return !has_stack || skip_stack();
      default: return skip();
    }
  }
};

}  // namespace

void for_each_text(std::span<const std::uint8_t> block, const std::function<void(RecordKind, std::string_view)>& text) {
  Walker walk{block.data(), block.data() + block.size()};
  while (walk.at != walk.end) {
    const std::uint8_t head = *walk.at++;
    const auto kind = static_cast<RecordKind>(head & wire::kKindMask);
    if (kind > RecordKind::contents) return;
    const bool event = kind >= RecordKind::malloc && kind <= RecordKind::malloc_trim;
    int stamps = kind == RecordKind::thread || kind == RecordKind::call ? 2 : event || is_stamped(kind) ? 1 : 0;
    if (event && (head & wire::kHasDuration) != 0) ++stamps;
    for (; stamps > 0; --stamps) {
      if (!walk.skip()) return;
    }
    if (kind == RecordKind::start || kind == RecordKind::exit || kind == RecordKind::note) {
      std::uint64_t length = 0;
      if (!walk.varint(length) || length > static_cast<std::uint64_t>(walk.end - walk.at)) return;
      text(kind, {reinterpret_cast<const char*>(walk.at), static_cast<std::size_t>(length)});
      walk.at += length;
      continue;
    }
    for (const char* shape = shape_of(kind); *shape != 0; ++shape) {
      if (!walk.field(*shape, (head & wire::kNoStack) == 0)) return;
    }
  }
}

bool summarize_wire(std::span<const std::uint8_t> block, std::uint64_t& last_tick, WireSummary& summary) {
  Walker walk{block.data(), block.data() + block.size()};
  while (walk.at != walk.end) {
    const std::uint8_t head = *walk.at++;
    const auto kind = static_cast<RecordKind>(head & wire::kKindMask);
    if (kind == RecordKind::pad) continue;
    if (kind > RecordKind::contents) return false;
    const bool event = kind >= RecordKind::malloc && kind <= RecordKind::malloc_trim;
    std::uint64_t number = 0, tid = 0;
    if (kind == RecordKind::thread) {
      if (!walk.varint(last_tick) || !walk.varint(tid)) return false;
      summary.tid = static_cast<Tid>(tid);
    } else if (event || kind == RecordKind::call || is_stamped(kind)) {
      if (!walk.varint(number)) return false;
      last_tick += number;
    }
    if (event || kind == RecordKind::thread || kind == RecordKind::call) {
      if (!summary.any_tick) summary.first_tick = last_tick;
      summary.any_tick = true;
    }
    if ((event && (head & wire::kHasDuration) != 0) || kind == RecordKind::call) {
      if (!walk.varint(number)) return false;
      last_tick += number;
    }
    if (summary.any_tick) summary.last_tick = last_tick;
    for (const char* shape = shape_of(kind); *shape != 0; ++shape) {
      if (!walk.field(*shape, (head & wire::kNoStack) == 0)) return false;
    }
    summary.events += event ? 1 : 0;
    summary.flags |= flag_of(kind);
  }
  return true;
}

}  // namespace faultline::trace
