#include "record/shim/ring.h"

#include <linux/futex.h>
#include <time.h>

#include "record/shim/process.h"
#include "record/shim/raw_syscall.h"

namespace faultline::shim {

namespace {

void wake_recorder() {
  wire::SegmentHeader& segment = *process.segment;
  segment.wake.fetch_add(1, std::memory_order_release);
  raw_syscall(SYS_futex, address_of(&segment.wake), FUTEX_WAKE, 1);
}

bool recorder_gone() {
  constexpr long kNoSuchProcess = -3;
  return raw_syscall(SYS_kill, process.segment->recorder_pid, 0) == kNoSuchProcess;
}

// Sleeps until `need` bytes are free. False: the recorder is gone or stands still, recording is over.
__attribute__((noinline)) bool wait_for_space(ThreadRing& ring, std::uint64_t need) {
  wire::SegmentHeader& segment = *process.segment;
  const std::uint64_t capacity = ring.mask + 1;
  std::uint32_t heartbeat = segment.heartbeat.load(std::memory_order_relaxed);
  for (unsigned frozen = 0; need <= capacity;) {
    const std::uint32_t space = ring.header->space.load(std::memory_order_acquire);
    ring.consumed_seen = ring.header->consumed.load(std::memory_order_acquire);
    if (ring.written + need - ring.consumed_seen <= capacity) return true;
    if (segment.detached.load(std::memory_order_relaxed) != 0) break;
    wake_recorder();
    const timespec pause{0, 10'000'000};
    raw_syscall(SYS_futex, address_of(&ring.header->space), FUTEX_WAIT, space, address_of(&pause));
    const std::uint32_t now = segment.heartbeat.load(std::memory_order_relaxed);
    frozen = now == heartbeat ? frozen + 1 : 0;
    heartbeat = now;
    // A recorder in another pid namespace looks dead to kill(2): believe it only together with a frozen heartbeat.
    if ((frozen > 5 && recorder_gone()) || frozen > 1000) break;
  }
  stop_recording();
  return false;
}

}  // namespace

std::uint8_t* reserve_slowly(ThreadRing& ring, std::size_t bytes) {
  const std::uint64_t capacity = ring.mask + 1;
  const std::uint64_t to_end = capacity - (ring.written & ring.mask);
  const std::uint64_t need = bytes <= to_end ? bytes : to_end + bytes;
  if (ring.written + need - ring.consumed_seen > capacity && !wait_for_space(ring, need)) {
    process.segment->dropped_events.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  if (bytes > to_end) {
    __builtin_memset(ring.payload + (ring.written & ring.mask), 0, to_end);
    ring.written += to_end;
  }
  return ring.payload + (ring.written & ring.mask);
}

void wake_recorder_if_half_full(ThreadRing& ring) {
  ring.consumed_seen = ring.header->consumed.load(std::memory_order_acquire);
  const std::uint64_t half = (ring.mask + 1) / 2;
  if (ring.written - ring.consumed_seen >= half) {
    wake_recorder();
    ring.wake_at = ring.written + half / 8;
  } else {
    ring.wake_at = ring.consumed_seen + half;
  }
}

void begin_life(ThreadRing& ring, std::int32_t tid) {
  std::uint8_t* out = reserve(ring, 32);
  if (out == nullptr) return;
  const std::uint64_t now = ticks();
  *out++ = static_cast<std::uint8_t>(wire::RecordKind::thread);
  out = wire::put_varint(out, now);
  out = wire::put_varint(out, static_cast<std::uint64_t>(tid));
  ring.tid = tid;
  ring.header->tid.store(tid, std::memory_order_relaxed);
  ring.last_tsc = now;
  ring.last_pointer = 0;
  __builtin_memset(ring.stack_slots, 0, sizeof ring.stack_slots);
  ring.walk.depth = 0;
  ring.stack = StackBounds();
  commit(ring, out);
}

void write_text(ThreadRing& ring, wire::RecordKind kind, const char* text, std::size_t length) {
  constexpr std::size_t kPart = wire::kMaxRecordBytes - 16;
  do {
    const std::size_t part = length < kPart ? length : kPart;
    std::uint8_t* out = reserve(ring, part + 16);
    if (out == nullptr) return;
    *out++ = static_cast<std::uint8_t>(kind);
    out = wire::put_varint(out, part);
    __builtin_memcpy(out, text, part);
    commit(ring, out + part);
    text += part;
    length -= part;
  } while (length > 0);
}

bool BusyRing::take_over(ThreadRing& ring, std::uint64_t here) {
  process.segment->dropped_events.fetch_add(1, std::memory_order_relaxed);
  // A signal handler that left by longjmp never came back to clear the flag: after many calls from further out, take over.
  if (++ring.drops_while_busy < 1000 || here < ring.busy) return false;
  ring.drops_while_busy = 0;
  return true;
}

}  // namespace faultline::shim
