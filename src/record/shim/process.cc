#include "record/shim/process.h"

#include <linux/mman.h>
#include <sys/resource.h>

#include "record/shim/block_watch.h"
#include "record/shim/connection.h"
#include "record/shim/environment.h"
#include "record/shim/file_view.h"
#include "record/shim/modules.h"
#include "record/shim/real_functions.h"
#include "record/shim/start_record.h"
#include "record/shim/thread_end.h"

extern "C" void* __libc_stack_end;

namespace faultline::shim {

Process process;
std::atomic<ProcessTable*> process_table{nullptr};

namespace {

constinit std::atomic<Phase> before_the_table{Phase::fresh};

constexpr std::size_t round_to_page(std::size_t bytes) { return (bytes + 4095) & ~std::size_t{4095}; }
constexpr std::size_t kRingStride = round_to_page(sizeof(ThreadRing));

// glibc keeps the thread's id in struct pthread, which the thread pointer points to (0x2d0 since 2.26 or so).
std::uint32_t find_tid_offset() {
  const std::uint64_t self = thread_pointer();
  const std::int32_t tid = raw_gettid();
  const auto holds = [&](std::uint32_t offset) { return *reinterpret_cast<const volatile std::int32_t*>(self + offset) == tid; };
  if (holds(0x2d0)) return 0x2d0;
  for (std::uint32_t offset = 0x80; offset < 0x400; offset += 4) {
    if (holds(offset)) return offset;
  }
  return 0;
}

ThreadRing* ring_at(std::uint32_t index) {
  return reinterpret_cast<ThreadRing*>(reinterpret_cast<char*>(process.rings) + index * kRingStride);
}

void prepare_ring(std::uint32_t index) {
  ThreadRing& ring = *ring_at(index);
  auto* base = reinterpret_cast<char*>(process.segment);
  const std::uint64_t bytes = process.segment->ring_bytes;
  if (ring.payload == nullptr) {
    populate(&ring, kRingStride);
    auto* payload = base + wire::payload_offset(process.ring_count) + index * bytes;
    populate(payload, bytes);
    ring.header = reinterpret_cast<wire::RingHeader*>(base + wire::ring_header_offset()) + index;
    ring.mask = bytes - 1;
    ring.payload = reinterpret_cast<std::uint8_t*>(payload);
  }
  ring.written = ring.header->written.load(std::memory_order_relaxed);
  ring.consumed_seen = ring.header->consumed.load(std::memory_order_acquire);
  ring.wake_at = ring.consumed_seen + bytes / 2;
  ring.busy = 0;
}

ThreadRing* claim_ring() {
  for (std::uint32_t i = 0; i < process.ring_count; ++i) {
    auto* headers = reinterpret_cast<wire::RingHeader*>(reinterpret_cast<char*>(process.segment) + wire::ring_header_offset());
    std::uint32_t state = headers[i].state.load(std::memory_order_relaxed);
    if (state == wire::kRingOwned || !headers[i].state.compare_exchange_strong(state, wire::kRingOwned, std::memory_order_acquire)) continue;
    prepare_ring(i);
    return ring_at(i);
  }
  return nullptr;
}

// Takes over the ring of a thread that ended; its slot becomes free.
ThreadRing* inherit_ring(ProcessTable& table) {
  for (ThreadSlot& slot : table.slots) {
    std::uint64_t owner = slot.thread_pointer.load(std::memory_order_acquire);
    if (owner <= 1 || slot.ring == nullptr || !thread_is_dead(slot.tid)) continue;
    if (!slot.thread_pointer.compare_exchange_strong(owner, 1, std::memory_order_acq_rel)) continue;
    ThreadRing* ring = slot.ring;
    slot.ring = nullptr;
    slot.tid = 0;
    slot.thread_pointer.store(0, std::memory_order_release);
    ring->busy = 0;
    return ring;
  }
  return nullptr;
}

ThreadSlot* free_slot(ProcessTable& table, std::uint64_t self) {
  const unsigned home = ProcessTable::home(self);
  for (unsigned i = 0; i < ProcessTable::kProbes; ++i) {
    ThreadSlot& slot = table.slots[(home + i) & (ProcessTable::kSlots - 1)];
    std::uint64_t owner = slot.thread_pointer.load(std::memory_order_acquire);
    if (owner == self) return &slot;
    if (owner == 0 && slot.thread_pointer.compare_exchange_strong(owner, self, std::memory_order_acq_rel)) return &slot;
    if (owner > 1 && slot.tid != 0 && thread_is_dead(slot.tid) &&
        slot.thread_pointer.compare_exchange_strong(owner, self, std::memory_order_acq_rel)) {
      return &slot;
    }
  }
  return nullptr;
}

// One thread at a time changes slots; a signal handler in the middle of that goes unrecorded instead of waiting for itself.
class Claiming {
 public:
  Claiming(ProcessTable& table, std::uint64_t self) : table_(table) {
    std::uint64_t owner = 0;
    while (!table.claiming.compare_exchange_weak(owner, self, std::memory_order_acquire)) {
      if (owner == self) return;
      owner = 0;
      raw_syscall(SYS_sched_yield);
    }
    held_ = true;
  }
  ~Claiming() {
    if (held_) table_.claiming.store(0, std::memory_order_release);
  }
  Claiming(const Claiming&) = delete;
  Claiming& operator=(const Claiming&) = delete;
  explicit operator bool() const { return held_; }

 private:
  ProcessTable& table_;
  bool held_ = false;
};

ThreadRing* take_ring(ProcessTable& table, std::uint64_t self, std::int32_t tid) {
  const Claiming claiming(table, self);
  if (!claiming) return nullptr;
  ThreadSlot* slot = free_slot(table, self);
  if (slot == nullptr) return nullptr;
  ThreadRing* ring = slot->ring;  // a new thread at an old one's place goes on in its ring
  if (ring == nullptr) ring = claim_ring();
  if (ring == nullptr) ring = inherit_ring(table);
  if (ring == nullptr) {
    slot->thread_pointer.store(0, std::memory_order_release);
    return nullptr;
  }
  ring->busy = 1;  // until its first record is written
  slot->tid = tid;
  slot->ring = ring;
  return ring;
}

ThreadRing* claim_for_thread(ProcessTable& table, std::uint64_t self) {
  ThreadRing* ring = nullptr;
  const std::int32_t tid = current_tid(self);
  if (ticks() >= table.no_ring_until.load(std::memory_order_relaxed)) {
    ring = take_ring(table, self, tid);
    if (ring == nullptr) table.no_ring_until.store(ticks() + 20'000'000, std::memory_order_relaxed);
  }
  if (ring == nullptr) {
    process.segment->dropped_events.fetch_add(1, std::memory_order_relaxed);
    return nullptr;
  }
  begin_life(*ring, tid);
  ring->busy = 0;
  if (process.options.turns) watch_thread_end();
  return ring;
}

void make_table() {
  static std::atomic<int> making{0};
  int expected = 0;
  if (!making.compare_exchange_strong(expected, 1)) return;
  process.tid_offset = find_tid_offset();
  CodeObject own;
  if (find_code_object(reinterpret_cast<std::uint64_t>(&process), own)) add_own_range(own.start, own.end);
  add_own_range(kFileViews, kFileViews + kFileViewBytes);
  // ld.so leaves this where the kernel put argc.
  set_main_stack_end(reinterpret_cast<std::uint64_t>(__libc_stack_end));
  auto* table = static_cast<ProcessTable*>(map_private(round_to_page(sizeof(ProcessTable))));
  auto* rules = static_cast<RuleCache*>(map_private(sizeof(RuleCache)));
  if (table == nullptr || rules == nullptr) return;
  raw_syscall(SYS_madvise, address_of(table), static_cast<long>(round_to_page(sizeof(ProcessTable))), MADV_WIPEONFORK);
  populate(table, round_to_page(sizeof(ProcessTable)));
  populate(rules, sizeof(RuleCache));
  set_rule_cache(rules);
  if (process.options.touches) make_block_watch();
  process_phase = &table->phase;
  process_table.store(table, std::memory_order_release);
}

// Connects, takes a ring and writes the start record. The phase is set last: until then other threads go unrecorded.
ThreadRing* start_process(ProcessTable& table, std::uint64_t self) {
  const bool forked = process.ever_recorded;
  if (forked) process.populate_minflt.store(0, std::memory_order_relaxed);  // the parent's
  process.pid = raw_getpid();
  if (!forked) take_own_variables();
  wire::Welcome welcome;
  process.segment = connect_to_recorder(forked, welcome);
  const std::size_t private_bytes = kRingStride * welcome.ring_count;
  if (process.segment != nullptr) {
    process.rings = static_cast<ThreadRing*>(map_private(private_bytes));
    process.ring_count = welcome.ring_count;
  }
  if (process.segment == nullptr || process.rings == nullptr) {
    table.phase.store(Phase::off, std::memory_order_release);
    return nullptr;
  }
  process.ever_recorded = true;
  process.is_glibc = real.allocator_is_glibc;
  populate(process.segment, wire::payload_offset(process.ring_count));
  add_own_range(reinterpret_cast<std::uint64_t>(process.segment), reinterpret_cast<std::uint64_t>(process.segment) + welcome.segment_bytes);
  forget_announced_modules();
  table.phase.store(Phase::recording, std::memory_order_release);
  ThreadRing* ring = claim_for_thread(table, self);
  if (ring == nullptr) return nullptr;
  ring->busy = 1;
  write_start_record(*ring);
  if (process.options.stacks) make_file_views();
  announce_loaded_modules(*ring);
  ring->busy = 0;
  return ring;
}

}  // namespace

std::atomic<Phase>* process_phase = &before_the_table;

bool thread_is_dead(std::int32_t tid) {
  constexpr long kNoSuchProcess = -3;
  return raw_syscall(SYS_tgkill, process.pid, tid, 0) == kNoSuchProcess;
}

void ensure_real_functions() {
  if (__atomic_load_n(&real.malloc, __ATOMIC_ACQUIRE) != nullptr) return;
  process.options = parse_options(variable_in_environment(wire::kOptionsVariable));
  find_real_functions(process.options.glibc);
}

__attribute__((noinline)) ThreadRing* find_ring(std::uint64_t self) {
  ensure_real_functions();
  ProcessTable* table = process_table.load(std::memory_order_acquire);
  if (table == nullptr) {
    make_table();
    table = process_table.load(std::memory_order_acquire);
    if (table == nullptr) return nullptr;
  }
  Phase phase = table->phase.load(std::memory_order_acquire);
  if (phase == Phase::recording) return claim_for_thread(*table, self);
  if (phase != Phase::fresh || !table->phase.compare_exchange_strong(phase, Phase::connecting)) return nullptr;
  return start_process(*table, self);
}

void stop_recording() {
  process.segment->detached.store(1, std::memory_order_relaxed);
  if (ProcessTable* table = process_table.load(std::memory_order_relaxed)) table->phase.store(Phase::off, std::memory_order_release);
}

long map_aside(std::size_t bytes, long flags, long fd) {
  static std::atomic<std::uint64_t> next{kAside};
  return raw_map(next.fetch_add((bytes + 0xffff) & ~std::uint64_t{0xffff}, std::memory_order_relaxed), bytes, flags, fd);
}

void* map_private(std::size_t bytes) {
  const long at = map_aside(bytes, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE);
  if (failed(at)) return nullptr;
  add_own_range(static_cast<std::uint64_t>(at), static_cast<std::uint64_t>(at) + bytes);
  return reinterpret_cast<void*>(at);
}

void populate(void* start, std::size_t bytes) {
  constexpr long kMadvPopulateWrite = 23, kRusageThread = 1;
  rusage before{}, after{};
  raw_syscall(SYS_getrusage, kRusageThread, address_of(&before));
  const std::uint64_t first = reinterpret_cast<std::uint64_t>(start) & ~std::uint64_t{4095};
  const std::uint64_t end = reinterpret_cast<std::uint64_t>(start) + bytes;
  if (failed(raw_syscall(SYS_madvise, static_cast<long>(first), static_cast<long>(end - first), kMadvPopulateWrite))) return;
  raw_syscall(SYS_getrusage, kRusageThread, address_of(&after));
  process.populate_minflt.fetch_add(static_cast<std::uint64_t>(after.ru_minflt - before.ru_minflt), std::memory_order_relaxed);
}

void add_own_range(std::uint64_t start, std::uint64_t end) {
  if (process.range_count < sizeof process.ranges / sizeof process.ranges[0]) process.ranges[process.range_count++] = {start, end};
}

bool is_own_range(std::uint64_t address) {
  for (unsigned i = 0; i < process.range_count; ++i) {
    if (address >= process.ranges[i].start && address < process.ranges[i].end) return true;
  }
  return false;
}

}  // namespace faultline::shim
