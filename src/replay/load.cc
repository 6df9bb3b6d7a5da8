#include "replay/load.h"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "base/prefetch.h"
#include "replay/address_map.h"
#include "replay/allocator_name.h"
#include "replay/calls.h"
#include "replay/child_lives.h"
#include "replay/event_window.h"
#include "replay/fault_split.h"
#include "replay/fault_touches.h"
#include "replay/heap_pages.h"
#include "replay/heap_start.h"
#include "replay/mapping_area.h"
#include "replay/observations.h"
#include "replay/observed_faults.h"
#include "replay/order/lock_order.h"
#include "replay/order/put_in_order.h"
#include "replay/rest.h"
#include "replay/thread_arenas.h"
#include "replay/thread_exits.h"
#include "replay/thread_sharing.h"
#include "replay/touch_model.h"
#include "trace/forked_recording.h"

namespace faultline::replay {
namespace {

using trace::HeapOp;

struct LiveBlock {
  std::uint32_t slot = 0;
  std::uint32_t span = kNoSlot;  // in spans_ if mmapped
  TouchModel::Block touch;
};

constexpr std::size_t kSlotRest = 16384;         // more events than an order is looked for in at once
constexpr std::size_t kFewBlocks = 65536;        // what is known of these is in the host's caches anyway
constexpr std::uint64_t kShortestCallNs = 300;   // events without a duration were shorter than the recorder's resolution

std::uint64_t asked_bytes(const trace::HeapEvent& event) {
  return event.op == HeapOp::calloc ? event.a * event.b : event.a;
}

class Loader {
 public:
  Loader(trace::Recording& recording, const trace::ProcessInfo& process, std::vector<trace::ForkPoint> forks)
      : recording_(recording),
        process_(process),
        calls_(recording.calls(process.pid)),
        faults_(recording.faults(process.pid)),
        touches_(recording.touches(process.pid)),
        observations_(touches_),
        thread_ends_(recording.thread_ends(process.pid)),
        forks_(std::move(forks)),
        attribution_(calls_),
        fault_touches_(program_, faults_, calls_, recording.meta().calls_exact && process.thp_mode != "always", process.initial_brk) {}

  Result<Program> load(const std::function<void(std::uint64_t)>& progress) {
    program_.time_unit_ns = std::max<std::uint64_t>(1000, (process_.end_ns >> 31) + 1);
    program_.initial_brk = process_.initial_brk;
    program_.cpus_online = std::max(1, process_.cpus_online);
    program_.thp_madvise_bytes = process_.thp_mode == "madvise" ? std::uint64_t{2} << 20 : 0;
    program_.thp_always = process_.thp_mode == "always";
    program_.tunables = process_.tunables;
    program_.glibc_version = process_.glibc_version;
    program_.environment = process_.environment;
    program_.heap_randomised = heap_is_randomised(process_);
    program_.calls_exact = recording_.meta().calls_exact;
    program_.costs = recording_.meta().costs;
    program_.wall_ns = recording_.meta().wall_ns;
    program_.lost_events = process_.lost_heap_events;
    program_.lost_calls = process_.lost_call_records;
    program_.lost_turns = process_.lost_turns;
    break_ = process_.initial_brk;
    if (observations_.any_contents()) fault_touches_.contents_are_known();
    children_ = ChildLives(recording_.tasks(), process_.pid, std::max(birth_ns(), process_.start_ns));

    auto reader = recording_.heap_events(process_.pid);
    EventWindow window(*reader);
    const auto came = [&](const trace::HeapEvent& event) {
      if (live_.size() >= kFewBlocks) live_.prefetch(event.b);  // the block that goes, if one does
    };
    const auto halfway = [&](const trace::HeapEvent& event) {
      if (live_.size() < kFewBlocks) return;
      const std::uint32_t* const slot = live_.find(event.b);
      if (slot != nullptr) prefetch(&blocks_[*slot]);
    };
    while (trace::HeapEvent* const event = window.next(came, halfway)) {
      if (event->flags & trace::kForeignHeader) return fail(foreign_allocator(process_));
      if (program_.events.size() >= kNoSlot - 1) return fail(make_error("more than 2^32 heap events in one process: not supported"));
      add(*event);
      if (progress && program_.events.size() % (1u << 20) == 0) progress(program_.events.size());
    }
    finish();
    return std::move(program_);
  }

  static Error foreign_allocator(const trace::ProcessInfo& process) {
    return make_error(
        "malloc is provided by {}: the heap model does not apply; faults and calls are still in the report",
        process.allocator.empty() ? std::string("another allocator than glibc's") : process.allocator);
  }

 private:
  trace::Recording& recording_;
  const trace::ProcessInfo& process_;
  std::vector<trace::MemoryCall> calls_;
  std::vector<trace::FaultEvent> faults_;
  std::vector<trace::TouchObservation> touches_;
  Observations observations_;
  std::vector<trace::ThreadEnd> thread_ends_;
  std::size_t next_thread_end_ = 0;
  const std::vector<trace::ForkPoint> forks_;
  std::size_t next_fork_ = 0;
  ChildLives children_;
  CallAttribution attribution_;
  Program program_;
  TouchModel model_;
  HeapPages heap_pages_;
  ThreadArenas arenas_;
  FaultTouches fault_touches_;
  AddressMap<std::uint32_t> live_;  // slots
  std::vector<LiveBlock> blocks_;   // by slot
  std::deque<std::uint32_t> free_slots_;
  EventTimes times_;  // of programs with threads
  std::vector<ChunkSpan> spans_;
  std::unordered_map<trace::Tid, std::uint16_t> thread_index_;
  std::uint64_t break_ = 0, highest_block_ = 0;

  std::uint16_t thread_of(trace::Tid tid) {
    auto [at, is_new] = thread_index_.try_emplace(tid, static_cast<std::uint16_t>(program_.threads.size()));
    if (is_new) program_.threads.push_back({.tid = tid});
    return at->second;
  }

  void set_size(Event& event, std::uint64_t size) {
    if (size >> 32) {
      event.flags |= kWide;
      event.size = static_cast<std::uint32_t>(program_.wide_sizes.size());
      program_.wide_sizes.push_back(size);
    } else {
      event.size = static_cast<std::uint32_t>(size);
    }
  }

  std::uint32_t take_slot() {
    // With threads about, a slot rests before it is used again: events that overlapped may yet change places.
    const bool rests = program_.threads.size() > 1;
    if (free_slots_.size() <= (rests ? kSlotRest : 0)) return program_.slots++;
    const std::uint32_t slot = rests ? free_slots_.front() : free_slots_.back();
    rests ? free_slots_.pop_front() : free_slots_.pop_back();
    return slot;
  }

  // The block at `address` goes away; its slot, or kNoSlot if it was never seen.
  LiveBlock end_block(std::uint64_t address, const trace::HeapEvent& event) {
    const std::uint32_t* const found = live_.find(address);
    if (found == nullptr) return {.slot = kNoSlot, .span = kNoSlot, .touch = {}};
    const LiveBlock block = blocks_[*found];
    live_.erase(address);
    const auto resident = model_.died(block.touch, observations_.residency(event));
    if (in_heap(block.touch) && block.touch.size >= kObservedBytes)
      for (const Extent& part : resident) heap_pages_.add(address + part.begin, address + part.end);
    if (followed(block.touch))
      fault_touches_.died(address, static_cast<std::uint32_t>(program_.events.size()), event.begin_ns, observations_.contents(event));
    if (block.span != kNoSlot) spans_[block.span].death_ns = event.end_ns;
    free_slots_.push_back(block.slot);
    return block;
  }

  bool in_heap(const TouchModel::Block& block) const {
    return program_.calls_exact && !block.mmapped && block.address >= process_.initial_brk;
  }

  bool followed(const TouchModel::Block& block) const { return block.size >= kFollowedBytes && (block.mmapped || in_heap(block)); }

  void begin_block(Event& event, const trace::HeapEvent& raw, std::uint64_t kept) {
    if (live_.find(raw.result) != nullptr) {  // its free was lost
      trace::HeapEvent lost = raw;
      lost.tid = -1;
      end_block(raw.result, lost);
      ++program_.lost_events;
    }
    LiveBlock block;
    block.slot = event.slot = take_slot();
    const std::uint64_t bytes = asked_bytes(raw);
    const bool mmapped = raw.flags & trace::kChunkMmapped;
    if (mmapped) {
      block.span = static_cast<std::uint32_t>(spans_.size());
      spans_.push_back({page_floor(raw.result - 16), page_ceil(raw.result + bytes + 8), raw.begin_ns, ~std::uint64_t{0}});
    } else if (!(raw.flags & trace::kChunkNonMain)) {
      highest_block_ = std::max(highest_block_, raw.result + bytes);
    }
    block.touch = {.event = static_cast<std::uint32_t>(program_.events.size()),
                   .address = raw.result,
                   .size = bytes,
                   .kept = kept,
                   .birth_ns = raw.begin_ns,
                   .stack = raw.stack,
                   .mmapped = mmapped,
                   .zeroed = raw.op == HeapOp::calloc};
    if (in_heap(block.touch)) {
      if (bytes >= kObservedBytes) {
        block.touch.known = model_.note_known(heap_pages_.known(raw.result, raw.result + bytes));
      } else {
        heap_pages_.add(raw.result, raw.result + bytes);
      }
    }
    if (followed(block.touch)) {
      fault_touches_.born({.birth = block.touch.event,
                           .slot = block.slot,
                           .address = raw.result,
                           .size = bytes,
                           .kept = kept,
                           .birth_ns = raw.begin_ns,
                           .born_ns = raw.end_ns,
                           .stack = raw.stack,
                           .mmapped = mmapped,
                           .zeroed = block.touch.zeroed});
    }
    live_.insert(raw.result, block.slot);
    if (block.slot >= blocks_.size()) blocks_.resize(block.slot + 1);
    blocks_[block.slot] = block;
  }

  void add(trace::HeapEvent& raw) {
    if (raw.op == HeapOp::realloc && raw.b == 0) raw.op = HeapOp::malloc;             // realloc(NULL, n)
    if (raw.op == HeapOp::realloc && raw.a == 0 && raw.result == 0) raw.op = HeapOp::free;  // realloc(p, 0) in glibc
    end_threads(raw.begin_ns);
    fork(raw.begin_ns);
    children_.advance(raw.begin_ns, program_);
    Event event;
    event.op = raw.op;
    event.flags = raw.flags & (trace::kChunkMmapped | trace::kChunkNonMain);
    event.stack = raw.stack;
    event.time = static_cast<std::uint32_t>(raw.begin_ns / program_.time_unit_ns);
    event.thread = thread_of(raw.tid);
    event.address = raw.op == HeapOp::free ? raw.b : raw.result;
    ++program_.threads[event.thread].events;
    const bool allocates = raw.op != HeapOp::free && raw.op != HeapOp::mallopt && raw.op != HeapOp::malloc_trim;
    if (allocates && raw.result == 0) {
      event.flags |= kFailed;
      ++program_.failed;
    }
    switch (raw.op) {
      case HeapOp::malloc:
      case HeapOp::calloc:
      case HeapOp::pvalloc:
      case HeapOp::memalign:
        set_size(event, asked_bytes(raw));
        event.other = static_cast<std::uint32_t>(std::min<std::uint64_t>(raw.op == HeapOp::memalign ? raw.b : 0, 1u << 31));
        if (raw.result != 0) begin_block(event, raw, 0);
        break;
      case HeapOp::realloc:
        set_size(event, raw.a);
        if (raw.result != 0) {
          const LiveBlock old = end_block(raw.b, raw);
          event.other = old.slot;
          if (old.slot == kNoSlot) {
            event.flags |= kUnknown;
            ++program_.unknown_frees;
          }
          begin_block(event, raw, std::min(old.touch.size, raw.a));
        }
        break;
      case HeapOp::free:
        event.slot = end_block(raw.b, raw).slot;
        if (event.slot == kNoSlot) {
          event.flags |= kUnknown;
          ++program_.unknown_frees;
        }
        break;
      case HeapOp::mallopt:
        event.other = static_cast<std::uint32_t>(raw.a);
        event.size = static_cast<std::uint32_t>(raw.b);
        break;
      case HeapOp::malloc_trim:
        set_size(event, raw.a);
        break;
    }
    add_calls(event, raw);
    if (program_.threads.size() > 1) note_time(raw);
    program_.events.push_back(event);
  }

  void end_threads(std::uint64_t until_ns) {
    for (; next_thread_end_ < thread_ends_.size() && thread_ends_[next_thread_end_].time_ns < until_ns; ++next_thread_end_)
      program_.thread_exits.push_back({static_cast<std::uint32_t>(program_.events.size()), thread_of(thread_ends_[next_thread_end_].tid)});
  }

  void fork(std::uint64_t until_ns) {
    for (; next_fork_ < forks_.size() && forks_[next_fork_].time_ns <= until_ns; ++next_fork_)
      program_.forks.push_back({static_cast<std::uint32_t>(program_.events.size()), thread_of(forks_[next_fork_].thread)});
  }

  void note_time(const trace::HeapEvent& raw) {
    if (times_.begin_ns.empty()) times_.first = static_cast<std::uint32_t>(program_.events.size());
    times_.begin_ns.push_back(raw.begin_ns);
    const std::uint64_t shortest = recording_.meta().turns ? 0 : kShortestCallNs;
    times_.length_ns.push_back(static_cast<std::uint32_t>(std::clamp<std::uint64_t>(raw.end_ns - raw.begin_ns, shortest, 1U << 31)));
  }

  void add_calls(Event& event, const trace::HeapEvent& raw) {
    const auto& inside = attribution_.inside(raw);
    const auto index = static_cast<std::uint32_t>(program_.events.size());
    for (const trace::MemoryCall* call : attribution_.before()) {
      if (call->kind != trace::CallKind::brk || is_query(*call)) continue;
      const auto now = static_cast<std::uint64_t>(call->result);
      if (now != break_ && program_.calls_exact) program_.foreign_breaks.push_back({index, static_cast<std::int64_t>(now - break_)});
      break_ = now;
    }
    arenas_.note(event.thread, raw, inside);
    for (const trace::MemoryCall* call : inside) {
      if (is_query(*call)) {
        if (call->kind == trace::CallKind::brk && program_.calls.empty()) program_.break_known = false;
        continue;
      }
      AllocatorCall made{.event = index, .kind = call->kind, .address = call->args[0]};
      made.result = static_cast<std::uint64_t>(call->result);
      switch (call->kind) {
        case trace::CallKind::brk:
          if (made.result < break_) heap_pages_.remove(made.result, break_);
          break_ = made.result;
          break;
        case trace::CallKind::madvise:
          made.length = call->args[1];
          heap_pages_.remove(made.address, made.address + made.length);
          break;
        case trace::CallKind::mmap:
          made.address = made.result;
          made.length = call->args[1];
          break;
        case trace::CallKind::mremap:
          made.length = call->args[1];
          made.new_length = call->args[2];
          break;
        case trace::CallKind::munmap:
          made.length = call->args[1];
          heap_pages_.remove(made.address, made.address + made.length);
          break;
        default:
          made.length = call->args[1];
      }
      program_.calls.push_back(made);
      event.flags |= kHasCalls;
    }
  }

  void finish() {
    const ExitResidency residency(touches_, calls_, program_.calls_exact, process_.initial_brk);
    std::vector<ChunkSpan> live_chunks;
    live_.for_each([&](std::uint64_t, std::uint32_t slot) {
      const LiveBlock& block = blocks_[slot];
      model_.alive_at_end(block.touch, residency);
      if (block.span != kNoSlot) live_chunks.push_back(spans_[block.span]);
    });
    for (const ChunkSpan& heap : arenas_.heaps())
      if (heap.death_ns == ~std::uint64_t{0}) live_chunks.push_back(heap);
    model_.finish(program_, residency);
    fault_touches_.finish(program_, touches_);
    program_.mapping_top = mapping_area_top(process_, calls_, spans_.empty() ? ~std::uint64_t{0} : spans_.front().birth_ns);

    std::vector<Mapping> exit_mappings = process_.exit_seen ? parse_smaps(process_.exit_maps) : std::vector<Mapping>{};
    AddressRange heap{page_floor(process_.initial_brk), page_ceil(highest_block_)};
    for (const Mapping& mapping : exit_mappings)
      if (mapping.name == "[heap]") heap.end = std::max(heap.end, mapping.end);
    for (const trace::MemoryCall& call : calls_)
      if (call.kind == trace::CallKind::brk) heap.end = std::max(heap.end, page_ceil(static_cast<std::uint64_t>(call.result)));
    end_threads(~std::uint64_t{0});
    fork(~std::uint64_t{0});
    children_.advance(~std::uint64_t{0}, program_);
    if (program_.calls_exact && !recording_.meta().turns) program_.thread_exits = find_thread_exits(program_, calls_, process_.pid);
    for (std::size_t i = 0; i < program_.threads.size(); ++i) program_.threads[i].arena = arenas_.arena_of(static_cast<std::uint16_t>(i));
    program_.arenas = arenas_.count();
    program_.freed_by_others = freed_by_others(program_);
    order_events();
    observe_faults(heap, exit_mappings, live_chunks, residency);
  }

  void order_events() {
    if (program_.threads.size() < 2 || !program_.calls_exact || program_.lost_events != 0 || !program_.forks.empty()) return;
    const OrderFound found = find_lock_order(program_, times_);
    program_.reordered = found.moved;
    program_.order_explains_all = found.explains_all;
    if (!found.order.empty()) put_in_order(program_, found.order);
    times_ = {};
  }

  std::uint64_t birth_ns() const { return forks_.empty() ? 0 : forks_.back().time_ns; }

  // Without those its ancestors took.
  std::span<const trace::FaultEvent> own_faults() const {
    const auto first = std::partition_point(faults_.begin(), faults_.end(), [&](const trace::FaultEvent& fault) { return fault.time_ns < birth_ns(); });
    return {first, faults_.end()};
  }

  void observe_faults(AddressRange heap, const std::vector<Mapping>& exit_mappings, const std::vector<ChunkSpan>& live_chunks,
                      const ExitResidency& residency) {
    std::vector<ChunkSpan> spans = spans_;
    spans.insert(spans.end(), arenas_.heaps().begin(), arenas_.heaps().end());
    const std::span<const trace::FaultEvent> faults = own_faults();
    const std::vector<FaultArea> areas = split_faults(faults, std::move(spans), heap, process_.recorder_ranges);
    program_.observed = observed_faults(recording_, process_, faults, areas, program_.time_unit_ns);
    const RestInput rest = {.faults = faults,
                            .areas = areas,
                            .calls = calls_,
                            .exit_mappings = exit_mappings,
                            .live_chunks = live_chunks,
                            .recorder_ranges = process_.recorder_ranges,
                            .heap = heap,
                            .exit_report_ns = process_.exit_seen ? process_.exit_report_ns : 0,
                            .residency = &residency,
                            .time_unit_ns = program_.time_unit_ns};
    program_.rest = rest_timeline(rest);
    program_.borrowed = borrowed_by_recorder(rest);
    program_.late = late_pages(rest);
  }
};

// heap_of: the process, or for one that was forked the line of processes that led to it.
Result<Program> load(trace::Recording& heap_of, const trace::ProcessInfo& process, std::vector<trace::ForkPoint> forks,
                     const std::function<void(std::uint64_t)>& progress) {
  if (!process.allocator.empty() && !is_glibc(process.allocator)) return fail(Loader::foreign_allocator(process));
  if (process.initial_brk == 0) {
    return fail(make_error("process {} made no heap call that was recorded: there is nothing to replay", process.pid));
  }
  Loader loader(heap_of, process, std::move(forks));
  FL_TRY(Program program, loader.load(progress));
  if (program.events.size() <= program.first_own_event()) return fail(make_error("process {} has no heap events: there is nothing to replay", process.pid));
  return program;
}

}  // namespace

Result<Program> load_program(trace::Recording& recording, const trace::ProcessInfo& process,
                             const std::function<void(std::uint64_t)>& progress) {
  if (!process.forked_without_exec) return load(recording, process, {}, progress);
  FL_TRY(trace::ForkedRecording line, trace::forked_recording(recording, process));
  return load(*line.recording, *line.recording->main_process(), std::move(line.forks), progress);
}

}  // namespace faultline::replay
