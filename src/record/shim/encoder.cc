#include "record/shim/encoder.h"

namespace faultline::shim {

namespace {

constexpr std::size_t kFieldBytes = 96;

unsigned frames_to_write(const ThreadRing& ring) {
  const unsigned limit = process.options.max_frames < wire::kMaxFrames ? process.options.max_frames : wire::kMaxFrames;
  return ring.walk.depth < limit ? ring.walk.depth : limit;
}

unsigned slot_of(std::uint64_t hash) { return static_cast<unsigned>(hash >> 52) & (wire::kStackSlots - 1); }

}  // namespace

Encoder::Encoder(ThreadRing& ring, wire::RecordKind kind, Stamp stamp, const Caller* caller) : ring_(ring), out_(nullptr) {
  std::size_t bytes = kFieldBytes;
  if (caller != nullptr && process.options.stacks) {
    walk_stack(ring, caller->registers());
    has_stack_ = ring.walk.depth > 0;
    stack_hash_ = ring.walk.hash() | 1;  // 0 marks an empty slot
    if (has_stack_ && ring.stack_slots[slot_of(stack_hash_)] != stack_hash_) bytes += std::size_t{frames_to_write(ring)} * 8 + 8;
  }
  std::uint8_t* out = reserve(ring, bytes);
  if (out == nullptr) return;
  const bool timed = stamp.end - stamp.begin >= wire::kMinDurationTicks;
  std::uint8_t head = static_cast<std::uint8_t>(kind);
  if (timed) head |= wire::kHasDuration;
  if (!has_stack_) head |= wire::kNoStack;
  if (!process.is_glibc) head |= wire::kForeignAllocator;
  *out++ = head;
  out = wire::put_varint(out, stamp.begin - ring.last_tsc);
  if (timed) out = wire::put_varint(out, stamp.end - stamp.begin);
  ring.last_tsc = timed ? stamp.end : stamp.begin;
  out_ = out;
}

void Encoder::finish() {
  if (has_stack_) {
    const unsigned slot = slot_of(stack_hash_);
    const bool is_new = ring_.stack_slots[slot] != stack_hash_;
    number(std::uint64_t{slot} << 1 | static_cast<std::uint64_t>(is_new));
    if (is_new) {
      const unsigned count = frames_to_write(ring_);
      number(count);
      std::uint64_t previous = 0;
      for (unsigned i = 0; i < count; ++i) {
        const std::uint64_t pc = ring_.walk.frames[ring_.walk.depth - 1 - i].pc;
        signed_number(static_cast<std::int64_t>(pc - previous));
        previous = pc;
      }
      ring_.stack_slots[slot] = stack_hash_;
    }
  }
  commit(ring_, out_);
}

}  // namespace faultline::shim
