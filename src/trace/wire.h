// The protocol between the shim inside the recorded program and the recording process. Plain structs and inline
// functions only: the shim includes this file and nothing else of faultline.
//
// Life of a connection: the launcher listens on an abstract unix socket (SOCK_SEQPACKET) named in FAULTLINE_SOCKET.
// At the first malloc-family call of a process the shim connects, sends Hello, and receives Welcome with one memfd
// (SCM_RIGHTS). It maps the segment MAP_SHARED|MAP_POPULATE (first ring) and closes both descriptors: the program sees
// no extra descriptor. Data lies in the memfd, which the recorder maps too, so it outlives the program's SIGKILL.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace faultline::wire {

inline constexpr std::uint32_t kMagic = 0x314c4c46;  // "FLL1"
inline constexpr std::uint32_t kVersion = 1;
inline constexpr char kSocketVariable[] = "FAULTLINE_SOCKET";
inline constexpr char kPadVariable[] = "FAULTLINE_PAD";
inline constexpr char kOptionsVariable[] = "FAULTLINE_OPTIONS";  // "stacks=0,allocator=glibc": see shim/options.h

struct Hello {
  std::uint32_t magic, version;
  std::int32_t pid, parent_pid;
  std::int32_t forked_without_exec;  // 1: this process image already ran the shim in its parent
  std::int32_t reserved;
};

struct Welcome {
  std::uint32_t magic, version;
  std::uint32_t accepted;    // 0: go on unrecorded
  std::uint32_t ring_count;
  std::uint64_t ring_bytes;  // power of two, payload of each ring
  std::uint64_t segment_bytes;
};

// Segment: SegmentHeader, then ring_count RingHeaders, then (page aligned) ring_count payloads of ring_bytes.
struct SegmentHeader {
  std::uint32_t magic, version;
  std::uint32_t ring_count;
  std::uint32_t wrapped_calls;               // 1: the shim reports mmap and friends itself (no tracepoints here)
  std::uint64_t ring_bytes;
  std::int32_t recorder_pid;
  std::atomic<std::uint32_t> heartbeat;      // bumped by the recorder on every poll; a full ring waits while it moves
  std::atomic<std::uint32_t> detached;       // set by either side: stop recording, never wait again
  std::atomic<std::uint32_t> wake;           // futex the recorder sleeps on; a ring past half full wakes it
  std::atomic<std::uint64_t> dropped_events; // events lost because the recorder was gone or no ring was free
  std::atomic<std::uint32_t> exit_reported;  // the exit record is complete
  std::atomic<std::uint32_t> lost_turns;     // turns taken from a thread that was gone or kept one for seconds
};

enum RingState : std::uint32_t { kRingFree = 0, kRingOwned = 1, kRingRetired = 2 };

struct alignas(64) RingHeader {
  std::atomic<std::uint32_t> state;
  std::atomic<std::int32_t> tid;
  alignas(64) std::atomic<std::uint64_t> written;   // bytes ever produced, by the program; released after a whole record
  alignas(64) std::atomic<std::uint64_t> consumed;  // bytes ever consumed, by the recorder
  alignas(64) std::atomic<std::uint32_t> space;     // futex the program sleeps on while the ring is full
};

constexpr std::uint64_t payload_offset(std::uint32_t ring_count) {
  std::uint64_t end = sizeof(SegmentHeader) + 63 + std::uint64_t{ring_count} * sizeof(RingHeader);
  return (end + 4095) & ~std::uint64_t{4095};
}
constexpr std::uint64_t ring_header_offset() { return (sizeof(SegmentHeader) + 63) & ~std::uint64_t{63}; }

// ---- records ----------------------------------------------------------------------------------------------------
// A ring carries a byte stream of records. Every record: head byte (RecordKind | flags), then fields as LEB128 varints.
// The stream is self-contained per ring "life": a RecordKind::thread record resets all decoder state (last tsc, last
// pointer, stack slots). Both sides keep the same state:
//   last_tsc      tick of the last stamp in this ring
//   last_pointer  last pointer written in this ring
//   slots[4096]   the stacks most recently defined
// Fields:
//   delta     begin tick minus last_tsc
//   duration  only with kHasDuration: end tick minus begin tick. Without it the call was shorter than kMinDurationTicks.
//             Afterwards last_tsc is the end tick (begin tick + duration, or begin tick).
//   pointer   zigzag(pointer - last_pointer) << 2 | header flags (bit 0 mmapped, bit 1 not main arena), then last_pointer = pointer.
//             A NULL pointer is written the same way.
//   stack     only without kNoStack: slot << 1 | is_new; if is_new: frame count, then count × zigzag(frame - previous frame)
//             (previous frame starts at 0), innermost first; the slot now holds this stack.
//   text      length, then bytes
// Ticks are subtracted modulo 2^64: a signal handler's call may be written before the call it interrupted.
// A record never straddles the end of the payload: the rest is filled with pads.
// The shim removes every FAULTLINE_* variable from the environment. A launcher that sets an even number of variables in all
// (LD_PRELOAD counts if the program had none; add kPadVariable) keeps auxv findable behind the environment.
enum class RecordKind : std::uint8_t {
  pad = 0,          // one byte, skipped
  thread = 1,       // absolute tsc (varint), tid; resets decoder state
  malloc = 2,       // delta [duration] size pointer [stack]
  calloc = 3,       // delta [duration] count size pointer [stack]
  realloc = 4,      // delta [duration] size old-pointer pointer [stack]   (header flags of old-pointer: those before the call)
  free = 5,         // delta [duration] pointer [stack]                    (header flags read before the call)
  memalign = 6,     // delta [duration] size alignment pointer [stack]
  pvalloc = 7,      // delta [duration] size pointer [stack]
  mallopt = 8,      // delta [duration] zigzag(parameter) zigzag(value) result
  malloc_trim = 9,  // delta [duration] pad result [stack]
  touch = 10,       // page address, run count, run lengths; belongs to the free/realloc record that follows in this ring
  exit_touch = 11,  // page address, run count, run lengths: residency of an anonymous mapping at the end of the process
  module = 12,      // start, end, bias, text path, text build id (hex)
  start = 13,       // text: "key=value\n" lines, then "maps:\n" and /proc/self/maps
  exit = 14,        // text: "key=value\n" lines (VmHWM VmRSS minflt majflt in kernel units), then "maps:\n" and /proc/self/smaps
  call = 15,        // delta duration kind(CallKind) six args, zigzag(result): a wrapped memory call
  note = 16,        // text: one line for the user, e.g. why something is missing
  modules_stale = 17,  // delta: dlclose was called; modules after this are announced anew
  thread_end = 18,  // delta: the thread ends now, and with turns nobody else is in the allocator until it is gone
  contents = 19,    // block address, kContents*, run count, runs of pages << kContentBits | content: which parts of a block are not what they
                    // were when it was given, from the page it begins in; belongs to the free/realloc record that follows in this ring
};
// Unknown keys are ignored. Mappings named memfd:faultline or libfaultline_shim are the recorder's own in any case.
// kind of a `call` record; the same numbers as trace::CallKind. sbrk(2) is written as brk with its resulting break.
enum class CallCode : std::uint8_t { brk = 0, mmap = 1, munmap = 2, mremap = 3, madvise = 4, mprotect = 5 };
inline constexpr std::uint8_t kKindMask = 0x1f;
inline constexpr std::uint8_t kHasDuration = 0x20;
inline constexpr std::uint8_t kNoStack = 0x40;
inline constexpr std::uint8_t kForeignAllocator = 0x80;  // header flags are meaningless: the allocator is not glibc's
// Of a contents record: what a page's number says. A line is 64 bytes of the page; only bytes of the block count.
inline constexpr std::uint64_t kContentsAtExit = 1;   // the block is alive at the end of the process: no record follows
inline constexpr unsigned kContentBits = 16;
inline constexpr std::uint64_t kContentLine = 0x3f;        // the first line that changed
inline constexpr unsigned kContentLastLineShift = 6;       // and the last
inline constexpr std::uint64_t kContentChanged = 1 << 12;
inline constexpr std::uint64_t kContentCompared = 1 << 13;  // else nothing is known of this page
inline constexpr std::uint64_t kContentZero = 1 << 14;      // nothing but zeroes now
inline constexpr std::uint64_t kContentCleared = 1 << 15;   // more of the lines that held something became zero than stayed the same
inline constexpr std::uint64_t kMinDurationTicks = 600;  // below this no system call or page fault fits
inline constexpr std::uint32_t kStackSlots = 4096;
inline constexpr std::uint32_t kMaxFrames = 256;
inline constexpr std::uint32_t kMaxRecordBytes = 16 * 1024;  // longer text is split: several start/exit records are concatenated

constexpr std::uint64_t zigzag(std::int64_t v) { return (static_cast<std::uint64_t>(v) << 1) ^ static_cast<std::uint64_t>(v >> 63); }
constexpr std::int64_t unzigzag(std::uint64_t v) { return static_cast<std::int64_t>(v >> 1) ^ -static_cast<std::int64_t>(v & 1); }

inline std::uint8_t* put_varint(std::uint8_t* out, std::uint64_t v) {
  while (v >= 0x80) {
    *out++ = static_cast<std::uint8_t>(v) | 0x80;
    v >>= 7;
  }
  *out++ = static_cast<std::uint8_t>(v);
  return out;
}

// Returns the byte after the number, or nullptr when the input ends inside it or it is longer than 64 bits.
inline const std::uint8_t* get_varint(const std::uint8_t* in, const std::uint8_t* end, std::uint64_t& v) {
  v = 0;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (in == end) return nullptr;
    const std::uint8_t byte = *in++;
    if (shift == 63 && byte > 1) return nullptr;
    v |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return in;
  }
  return nullptr;
}

}  // namespace faultline::wire
