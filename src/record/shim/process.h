// The recording state of this process: real functions, connection to the recorder, own memory, which thread owns which ring.
#pragma once

#include <atomic>
#include <cstdint>

#include "record/shim/options.h"
#include "record/shim/phase.h"
#include "record/shim/raw_syscall.h"
#include "record/shim/ring.h"

namespace faultline::shim {

struct AddressRange {
  std::uint64_t start, end;
};

struct Process {
  wire::SegmentHeader* segment = nullptr;
  ThreadRing* rings = nullptr;   // ring_count of them, each kRingStride apart
  std::uint32_t ring_count = 0;
  std::int32_t pid = 0;
  bool ever_recorded = false;    // inherited by a forked child: its heap is not empty
  bool is_glibc = false;
  Options options;
  std::uint32_t tid_offset = 0;  // of the tid in glibc's struct pthread, 0 if not found
  AddressRange ranges[256] = {};  // the shim's own mappings, and those inherited over forks: three more with each
  unsigned range_count = 0;
  std::atomic<std::uint64_t> populate_minflt{0};
};
extern Process process;

struct ThreadSlot {
  std::atomic<std::uint64_t> thread_pointer;  // 0: free
  ThreadRing* ring;
  std::int32_t tid;
};

// Whose turn it is to call the allocator (turn.h).
struct TurnWord {
  std::atomic<std::uint32_t> owner;     // tid, and whether it is waited for; 0: nobody's
  std::atomic<std::uint64_t> last_end;  // tick at which the last turn ended

  // Now, for whose turn it is: the processors' counters agree, but rdtsc may run ahead of the exchange that took the turn.
  std::uint64_t after_the_last() const {
    const std::uint64_t now = ticks(), last = last_end.load(std::memory_order_relaxed);
    return static_cast<std::int64_t>(now - last) > 0 ? now : last + 1;
  }
};

// Wiped in a forked child: see phase.h.
struct ProcessTable {
  static constexpr unsigned kSlots = 2048, kProbes = 4;
  std::atomic<Phase> phase;
  std::atomic<std::uint64_t> no_ring_until;  // tick before which nobody looks for a free ring again
  std::atomic<std::uint64_t> claiming;       // thread pointer of the thread that changes slots, 0: nobody
  alignas(64) TurnWord turn;
  alignas(64) ThreadSlot slots[kSlots];

  static unsigned home(std::uint64_t thread_pointer) {
    return static_cast<unsigned>((thread_pointer * 0x9e3779b97f4a7c15u) >> 50) & (kSlots - 1);
  }
};
extern std::atomic<ProcessTable*> process_table;

inline std::int32_t current_tid(std::uint64_t thread_pointer) {
  if (process.tid_offset == 0) return raw_gettid();
  return *reinterpret_cast<const volatile std::int32_t*>(thread_pointer + process.tid_offset);
}

// The caller's ring; connects the process and claims a ring where needed. nullptr: the call goes unrecorded.
ThreadRing* find_ring(std::uint64_t thread_pointer);

inline ThreadRing* current_ring() {
  ProcessTable* table = process_table.load(std::memory_order_acquire);
  const std::uint64_t self = thread_pointer();
  if (__builtin_expect(table != nullptr && table->phase.load(std::memory_order_relaxed) == Phase::recording, 1)) {
    const unsigned home = ProcessTable::home(self);
    for (unsigned i = 0; i < ProcessTable::kProbes; ++i) {
      ThreadSlot& slot = table->slots[(home + i) & (ProcessTable::kSlots - 1)];
      if (slot.thread_pointer.load(std::memory_order_relaxed) == self && slot.tid == current_tid(self)) return slot.ring;
    }
  }
  return find_ring(self);
}

bool thread_is_dead(std::int32_t tid);  // of this process

// Makes sure that `real` is filled in. Safe from any thread at any time.
void ensure_real_functions();

// The recorder is gone or gave up: forward everything from now on.
void stop_recording();

// Where our own mappings go: far below where the kernel puts the program's (which begin at most a TiB below the stack), so that each
// of its later mappings lies as if we were not here: which pages of a file come with a fault hangs on the address. Only a hint: what is
// there stays there. TSan accepts no mapping below 0x7e8000000000.
constexpr std::uint64_t kAside = 0x7e9000000000;
constexpr std::uint64_t kFileViews = 0x7e8800000000, kFileViewBytes = 0x800000000;  // file_view.h: only mappings within count as ours

// A mapping of our own, readable and writable; an error number on failure (raw_syscall.h).
long map_aside(std::size_t bytes, long flags, long fd = -1);
// MAP_PRIVATE memory of the shim's own; nullptr on failure.
void* map_private(std::size_t bytes);
// Gives memory its frames now, so that the program sees no fault for it.
void populate(void* start, std::size_t bytes);
void add_own_range(std::uint64_t start, std::uint64_t end);
bool is_own_range(std::uint64_t address);

}  // namespace faultline::shim
