// Writes one heap call as a record (trace/wire.h). Small enough to be inlined into every entry point.
#pragma once

#include <cstdint>

#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/ring.h"

namespace faultline::shim {

// Where an interposed function was called from.
struct Caller {
  std::uint64_t frame;  // the entry point's frame address
  FrameRegisters registers() const { return {load_word(frame + 8), frame + 16, load_word(frame)}; }
};
#define FL_CALLER \
  ::faultline::shim::Caller { reinterpret_cast<std::uint64_t>(__builtin_frame_address(0)) }

struct Stamp {
  std::uint64_t begin, end;
};

// The two header bits of the wire format from glibc's size word before the block; 0 for NULL and foreign allocators.
inline std::uint64_t header_flags(std::uint64_t pointer) {
  if (pointer == 0 || !process.is_glibc) return 0;
  return (load_word(pointer - 8) >> 1) & 3;
}

class Encoder {
 public:
  // Walks the stack (if wanted), makes room and writes head, delta and duration. ok() is false if nothing may follow.
  Encoder(ThreadRing& ring, wire::RecordKind kind, Stamp stamp, const Caller* caller);
  bool ok() const { return out_ != nullptr; }
  std::uint64_t site() const { return stack_hash_; }  // of the call stack; 0 without stacks

  Encoder& number(std::uint64_t v) {
    out_ = wire::put_varint(out_, v);
    return *this;
  }
  Encoder& signed_number(std::int64_t v) { return number(wire::zigzag(v)); }
  Encoder& pointer(std::uint64_t p, std::uint64_t flags) {
    const std::uint64_t delta = wire::zigzag(static_cast<std::int64_t>(p - ring_.last_pointer));
    ring_.last_pointer = p;
    // zigzag << 2 stays within 64 bits: user addresses have 47.
    return number(delta << 2 | flags);
  }
  void finish();

 private:
  ThreadRing& ring_;
  std::uint8_t* out_;
  std::uint64_t stack_hash_ = 0;
  bool has_stack_ = false;
};

}  // namespace faultline::shim
