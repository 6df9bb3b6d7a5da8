// Program: one process's recording, loaded for repeated replay. It holds no pointer of the recorded run that a what-if
// would depend on: frees and reallocs name a slot, the place in the replayer's table where the block's address stands.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "trace/event.h"

namespace faultline::replay {

inline constexpr std::uint32_t kNoSlot = ~std::uint32_t{0};
inline constexpr std::uint32_t kUnknownArena = ~std::uint32_t{0};
inline constexpr std::uint64_t kObservedBytes = 16 * 1024;  // from this size on the recorder observes blocks (mincore)

enum EventFlag : std::uint8_t {
  // 1, 2, 4: trace::HeapFlag
  kWide = 8,        // size is an index into wide_sizes
  kPartial = 16,    // the next entry of Program::touches says which bytes the program touches; else all of them
  kHasCalls = 32,   // malloc made system calls here: the next entries of Program::calls with this event's number
  kUnknown = 64,    // block born before the recording or lost: not replayed
  kFailed = 128,    // the call returned NULL: not replayed
};

struct Event {
  std::uint64_t address = 0;  // recorded pointer: returned (alloc), given (free), or return value (mallopt, malloc_trim)
  std::uint32_t size = 0;     // bytes asked for (calloc: count * size); mallopt: value; malloc_trim: pad
  std::uint32_t slot = kNoSlot;   // alloc: where the new block goes; free: the block that goes
  std::uint32_t other = 0;    // realloc: slot of the old block; memalign: alignment; mallopt: parameter
  std::uint32_t stack = 0;
  std::uint32_t time = 0;     // in Program::time_unit_ns
  std::uint16_t thread = 0;   // index into Program::threads
  trace::HeapOp op = trace::HeapOp::malloc;
  std::uint8_t flags = 0;
};
static_assert(sizeof(Event) == 32);

// Bytes [begin, end) of a block that the program touches.
struct Extent {
  std::uint64_t begin = 0, end = 0;
  bool operator==(const Extent&) const = default;
};

// What a touch is known by. A page that was resident before the block was born shows no first access.
enum class Ground : std::uint8_t {
  seen,     // a fault, or contents that changed
  alike,    // what changed in another block of the call site
  usual,    // what other blocks of the call site were seen to do
  guessed,  // what other blocks of the size were seen to do; else all of it is written
};
inline constexpr std::size_t kGrounds = 4;

// Bytes [begin, end) of a block that the program touches at one moment, told by the recorded faults.
struct TimedTouch {
  std::uint64_t begin = 0, end = 0;
  std::uint32_t event = 0;  // right after it
  std::uint32_t slot = 0;   // the block
  bool write = true;        // else it is read
  Ground ground = Ground::seen;
};

// A system call malloc itself made, in the terms both sides can be compared in.
struct AllocatorCall {
  std::uint32_t event = 0;     // index of the event that made it
  trace::CallKind kind = trace::CallKind::brk;
  std::uint64_t address = 0;   // brk: the target; mmap: the result (opaque, not compared); else the first argument
  std::uint64_t length = 0;    // mmap, munmap, madvise, mprotect; mremap: old length
  std::uint64_t new_length = 0;  // mremap
  std::uint64_t result = 0;    // mmap, mremap
};

struct ThreadUse {
  trace::Tid tid = 0;
  std::uint32_t arena = kUnknownArena;  // recorded: 0 the main arena, others in the order they appeared
  std::uint64_t events = 0;
};

// The program moved the break itself: applied before event `event`.
struct ForeignBreak {
  std::uint32_t event = 0;
  std::int64_t delta = 0;  // bytes
};

// A thread ended, and its cache went back to the arena, before event `event`.
struct ThreadExit {
  std::uint32_t event = 0;
  std::uint16_t thread = 0;
};

// The process was forked before event `event`, by a thread that goes on in it. What came before its parent did.
struct Fork {
  std::uint32_t event = 0;
  std::uint16_t thread = 0;
};

// From event `born` to event `gone` a child had a copy of the memory: what is written meanwhile is copied, or at least faults.
struct ChildLife {
  std::uint32_t born = 0, gone = 0;
};

// Resident pages of everything that is neither heap nor mmapped chunk, from `time` on.
struct RestStep {
  std::uint32_t time = 0;
  std::uint64_t pages = 0;
};

// What is there because of the recorder, in mappings of the program: see rest.h.
struct Borrowed {
  std::uint64_t faults = 0, pages = 0;
};

// The other way round: pages that came in after the process had told what it holds: see rest.h.
struct Late {
  std::uint64_t pages = 0;
};

// What the kernel was seen to do. Faults of the recorder's own mappings are in none of them.
struct Observed {
  bool faults = false;         // fault events exist: the split below means something
  std::uint64_t heap_minor = 0, mmapped_minor = 0, thread_heap_minor = 0, rest_minor = 0;
  std::uint64_t heap_major = 0, mmapped_major = 0, thread_heap_major = 0, rest_major = 0;
  std::uint64_t unattributed_minor = 0;  // counted by rusage, seen by no fault event; part of rest_minor
  std::uint64_t rss_peak_bytes = 0, rss_end_bytes = 0;  // 0: not known; without what the recorder held at the end
  std::uint64_t rss_sampled_peak_bytes = 0;             // highest of the recorder's exact samples, without its own pages then
  std::uint64_t rss_peak_resolution_bytes = 0;          // how far the kernel's own peak may be off: see load.cc
  // The kernel's peak includes the recorder's pages at that moment, and the recorder subtracted those at the end: when
  // each of its pages came in (Program::time_unit_ns, ascending) tells the difference.
  std::vector<std::uint32_t> recorder_fault_times;
  std::uint64_t rss_peak_bytes_at(std::uint32_t time) const;  // the peak, if it was at `time`
  std::uint64_t minor() const { return heap_minor + mmapped_minor + thread_heap_minor + rest_minor; }
  std::uint64_t major() const { return heap_major + mmapped_major + thread_heap_major + rest_major; }
};

struct Program {
  std::vector<Event> events;
  std::vector<std::uint64_t> wide_sizes;
  std::vector<std::uint32_t> touch_offsets{0};  // touch list i is extents [touch_offsets[i], touch_offsets[i + 1])
  std::vector<Extent> extents;
  std::vector<TimedTouch> timed_touches;        // by event; empty where no faults were recorded
  std::vector<std::uint32_t> timed_blocks;      // events whose block's touches are all in timed_touches, ascending
  std::array<double, kGrounds> error_of{0, 0, 0, 1};  // by Ground: how far off such touches are, of the pages they say
  std::vector<AllocatorCall> calls;             // by event
  std::vector<ForeignBreak> foreign_breaks;     // by event
  std::vector<ThreadExit> thread_exits;         // by event
  std::vector<Fork> forks;                      // by event; counts and observations are of what comes after the last one
  std::uint32_t first_own_event() const { return forks.empty() ? 0 : forks.back().event; }
  std::vector<ChildLife> children;              // by birth
  std::vector<RestStep> rest;                   // by time
  Borrowed borrowed;
  Late late;
  std::vector<ThreadUse> threads;
  double freed_by_others = 0;                   // of the blocks that were freed, the share another thread had allocated
  std::uint32_t arenas = 1;                     // recorded, the main one included
  std::uint32_t slots = 0;                      // size of the table of live blocks
  std::uint64_t time_unit_ns = 1000;

  std::uint64_t initial_brk = 0;
  bool heap_randomised = false;                 // the heap begins elsewhere in each run (randomize_va_space)
  int cpus_online = 1;
  std::uint64_t thp_madvise_bytes = 0;          // huge page size if THP is "madvise", else 0
  std::uint64_t mapping_top = 0;                // where a what-if puts malloc's first mapping, its end; 0: not known
  bool break_known = true;                      // libc had asked for the break before the first allocation
  bool thp_always = false;                      // every mapping gets huge pages
  std::string tunables;
  std::vector<std::string> environment;
  std::string glibc_version;                    // empty: not known, taken as 2.36

  bool calls_exact = false;
  Observed observed;
  trace::MachineCosts costs;
  std::uint64_t wall_ns = 0;
  std::uint64_t unknown_frees = 0, failed = 0, lost_events = 0, lost_calls = 0, lost_turns = 0;
  std::uint64_t reordered = 0;      // events of threads that stand where addresses and calls put them, not time stamps
  bool order_explains_all = true;   // false: from some point on no order of overlapping events was found to fit

  std::uint64_t size_of(const Event& event) const { return event.flags & kWide ? wide_sizes[event.size] : event.size; }
  std::uint64_t rest_end_pages() const { return rest.empty() ? 0 : rest.back().pages; }
};

}  // namespace faultline::replay
