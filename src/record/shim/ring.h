// One ring of the shared segment as its owning thread sees it: private encoder state beside the shared header.
#pragma once

#include <atomic>
#include <cstdint>

#include "record/shim/phase.h"
#include "record/shim/stack_bounds.h"
#include "record/shim/unwinder.h"
#include "trace/wire.h"

namespace faultline::shim {

inline constexpr std::size_t kScratchBytes = 24 * 1024;
inline constexpr unsigned kMaxRuns = 1024;

struct ThreadRing {
  wire::RingHeader* header;
  std::uint8_t* payload;
  std::uint64_t mask;           // payload bytes - 1
  std::uint64_t written;        // private copy of header->written
  std::uint64_t consumed_seen;  // header->consumed when last looked at
  std::uint64_t wake_at;        // once `written` passes this the recorder is woken
  std::uint64_t last_tsc, last_pointer;
  std::int32_t tid;
  volatile std::uint64_t busy;       // stack address of the encoder at work; 0: none
  std::uint32_t drops_while_busy;
  std::uint32_t frees_of_class[32];  // for sampling touches, by log2 of the size
  std::uint64_t stack_slots[wire::kStackSlots];  // hash of the stack each slot holds
  StackBounds stack;
  StackWalk walk;
  std::uint32_t runs[kMaxRuns];
  unsigned char residency[4096];
  char scratch[kScratchBytes];
};

// The parts of reserve() and commit() that are rarely needed.
std::uint8_t* reserve_slowly(ThreadRing& ring, std::size_t bytes);
void wake_recorder_if_half_full(ThreadRing& ring);

// Room for `bytes` contiguous bytes of one record; waits while the ring is full (back-pressure) and gives up with nullptr when
// the recorder is gone. Without a matching commit nothing happened.
inline std::uint8_t* reserve(ThreadRing& ring, std::size_t bytes) {
  const std::uint64_t at = ring.written & ring.mask;
  if (__builtin_expect(at + bytes <= ring.mask + 1 && ring.written + bytes - ring.consumed_seen <= ring.mask + 1, 1)) {
    return ring.payload + at;
  }
  return reserve_slowly(ring, bytes);
}

inline void commit(ThreadRing& ring, const std::uint8_t* end) {
  if (!process_is_recording()) return;  // a fork in a signal handler came between: this is the parent's ring
  ring.written += static_cast<std::uint64_t>(end - (ring.payload + (ring.written & ring.mask)));
  ring.header->written.store(ring.written, std::memory_order_release);
  if (__builtin_expect(ring.written > ring.wake_at, 0)) wake_recorder_if_half_full(ring);
}

// The first record of a thread in this ring: resets the decoder and our side of its state.
void begin_life(ThreadRing& ring, std::int32_t tid);

void write_text(ThreadRing& ring, wire::RecordKind kind, const char* text, std::size_t length);

// Marks the ring as being written to by this thread; a signal handler that finds it so leaves its call unrecorded.
class BusyRing {
 public:
  explicit BusyRing(ThreadRing* ring) : ring_(ring) {
    if (ring == nullptr) return;
    const std::uint64_t here = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
    if (__builtin_expect(ring->busy != 0, 0) && !take_over(*ring, here)) {
      ring_ = nullptr;
      return;
    }
    ring->busy = here;
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
  }
  ~BusyRing() {
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (ring_ != nullptr) ring_->busy = 0;
  }
  BusyRing(const BusyRing&) = delete;
  BusyRing& operator=(const BusyRing&) = delete;
  explicit operator bool() const { return ring_ != nullptr; }

 private:
  static bool take_over(ThreadRing& ring, std::uint64_t here);

  ThreadRing* ring_;
};

}  // namespace faultline::shim
