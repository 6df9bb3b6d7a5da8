#include "replay/replayer.h"

#include <algorithm>

#include "heap/heap.h"
#include "heap/on/twin_memory.h"
#include "mm/phys/frame_table.h"
#include "mm/space/address_space.h"
#include "replay/thread_lives.h"

namespace faultline::replay {
namespace {

using heap::Address;
using trace::HeapOp;
using Memory = heap::LoggingMemory<heap::TwinMemory>;

struct Slot {
  Address address = 0;
  std::uint64_t size = 0;
};

mm::AddressSpace::Layout layout_of(const Program& program, Placement placement) {
  mm::AddressSpace::Layout layout;
  if (placement == Placement::own && program.mapping_top != 0) layout.mmap_base = VirtAddr(program.mapping_top);
  layout.start_brk = VirtAddr(program.initial_brk);
  return layout;
}

mm::KernelProfile profile_of(const Program& program) {
  mm::KernelProfile profile = mm::KernelProfile::linux_6_18();
  profile.thp = program.thp_always ? mm::ThpMode::always : program.thp_madvise_bytes != 0 ? mm::ThpMode::madvise : mm::ThpMode::never;
  return profile;
}

bool same_arena_limits(const Program& program, const heap::Parameters& parameters) {
  const heap::Tunables recorded = recorded_parameters(program).tunables;
  return parameters.tunables.arena_max == recorded.arena_max && parameters.tunables.arena_test == recorded.arena_test;
}

class Replay {
 public:
  Replay(const Program& program, const heap::Parameters& parameters, const ReplayPlan& plan)
      : program_(program),
        plan_(plan),
        trims_(plan.trim, program),
        placement_(plan.placement),
        timed_(plan.touches == Touches::by_faults),
        watch_(plan.watch),
        space_(frames_, profile_of(program), layout_of(program, plan.placement)),
        twin_(space_, program.initial_brk),
        memory_(twin_, plan.watch ? heap::LogMode::records : heap::LogMode::counts_only),
        heap_(memory_, parameters),
        slots_(program.slots),
        lives_(program, same_arena_limits(program, parameters)) {
    if (plan_.box == nullptr) return;
    *plan_.box = heap::OutcomeBox(heap_.settings());
    if (program.threads.size() > 1) plan_.box->arena_limit_asked();  // decides whether the recorded arenas are used
    heap_.note_outcome(plan_.box);
  }

  std::optional<Prediction> run() {
    for (std::size_t i = 0; i < program_.events.size(); ++i) {
      const Event& event = program_.events[i];
      if (i % kAskedEvery == 0 && plan_.give_up && plan_.give_up({cost_so_far(), twin_.peak_resident_pages() << kPageShift})) return std::nullopt;
      if (event.time >= next_rest_time_) advance_rest(event.time);
      if (i == next_break_event_) move_foreign_break(i);
      if (lives_.end_threads(i, heap_)) tally();  // made between events: part of no event's calls
      if (trims_.running() && trims_.due(event)) heap_.malloc_trim(event.thread, 0);
      std::size_t calls_end = next_call_;
      while (calls_end < program_.calls.size() && program_.calls[calls_end].event == i) ++calls_end;
      if (event.flags & (kUnknown | kFailed)) {
        skip(event);
      } else {
        if (placement_ == Placement::recorded) place(event, calls_end);
        lives_.begin(event.thread, heap_);
        const std::uint64_t result = apply(event);
        lives_.begun(event.thread, heap_);
        if (watch_ != nullptr) {
          watch_->after(i, event, result, memory_.records());
          tally();
          note_peak(event.time);
        }
      }
      if (timed_) touch_timed(i);
      next_call_ = calls_end;
    }
    advance_rest(~std::uint32_t{0});
    return outcome();
  }

 private:
  static constexpr std::size_t kAskedEvery = 4096;

  const Program& program_;
  const ReplayPlan& plan_;
  TrimClock trims_;
  const Placement placement_;
  const bool timed_;
  ReplayWatch* const watch_;
  mm::FrameTable frames_;
  mm::AddressSpace space_;
  heap::TwinMemory twin_;
  Memory memory_;
  heap::Heap<Memory> heap_;
  std::vector<Slot> slots_;
  ThreadLives lives_;
  CallCounts counted_;
  std::size_t next_call_ = 0, next_touch_ = 0, next_rest_ = 0, next_break_ = 0;
  std::size_t next_timed_block_ = 0, next_timed_touch_ = 0;
  std::uint64_t usual_faults_ = 0, guessed_faults_ = 0;
  std::uint32_t next_rest_time_ = 0;
  std::size_t next_break_event_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t peak_pages_ = 0;
  std::uint32_t peak_time_ = 0;

  void advance_rest(std::uint32_t time) {
    for (; next_rest_ < program_.rest.size() && program_.rest[next_rest_].time <= time; ++next_rest_) {
      twin_.set_rest_pages(program_.rest[next_rest_].pages);
      note_peak(program_.rest[next_rest_].time);
    }
    next_rest_time_ = next_rest_ < program_.rest.size() ? program_.rest[next_rest_].time : ~std::uint32_t{0};
  }

  void note_peak(std::uint32_t time) {
    if (twin_.peak_resident_pages() <= peak_pages_) return;
    peak_pages_ = twin_.peak_resident_pages();
    peak_time_ = time;
  }

  void move_foreign_break(std::size_t event) {
    while (next_break_ < program_.foreign_breaks.size() && program_.foreign_breaks[next_break_].event <= event) {
      twin_.sbrk(program_.foreign_breaks[next_break_++].delta);
    }
    next_break_event_ = next_break_ < program_.foreign_breaks.size() ? program_.foreign_breaks[next_break_].event : ~std::size_t{0};
  }

  // Tells the twin where the kernel put the mappings of this event.
  void place(const Event& event, std::size_t calls_end) {
    if (!program_.calls_exact) {
      if (event.flags & trace::kChunkMmapped && event.op != HeapOp::free) {
        twin_.forget_placements();
        twin_.place_next_map_at(page_floor(event.address - 16));
      }
      return;
    }
    if (next_call_ == calls_end) return;
    twin_.forget_placements();
    for (std::size_t i = next_call_; i < calls_end; ++i) {
      const AllocatorCall& call = program_.calls[i];
      if (call.kind == trace::CallKind::mmap) twin_.place_next_map_at(call.result);
      if (call.kind == trace::CallKind::mremap && call.new_length > call.length) twin_.place_next_map_at(call.result);
    }
  }

  void skip(const Event& event) {
    if (event.op == HeapOp::realloc && !(event.flags & kFailed)) {
      allocate(event);  // the old block was never seen: only its successor is
    } else if (event.slot != kNoSlot) {
      slots_[event.slot] = {};
    }
    if (watch_ != nullptr) tally();
  }

  std::uint64_t apply(const Event& event) {
    switch (event.op) {
      case HeapOp::free:
        release(event);
        return event.address;
      case HeapOp::realloc:
        return reallocate(event);
      case HeapOp::mallopt:
        return static_cast<std::uint64_t>(
            heap_.mallopt(event.thread, static_cast<int>(event.other), static_cast<int>(event.size)));
      case HeapOp::malloc_trim:
        return static_cast<std::uint64_t>(heap_.malloc_trim(event.thread, program_.size_of(event)));
      default:
        return allocate(event);
    }
  }

  Address allocate(const Event& event) {
    const std::uint64_t size = program_.size_of(event);
    Slot& slot = slots_[event.slot];
    slot = {call_heap(event, size), size};
    finish_block(event, slot, 0);
    return slot.address;
  }

  Address call_heap(const Event& event, std::uint64_t size) {
    switch (event.op) {
      case HeapOp::calloc: return heap_.calloc(event.thread, 1, size);
      case HeapOp::memalign: return heap_.memalign(event.thread, event.other, size);
      case HeapOp::pvalloc: return heap_.pvalloc(event.thread, size);
      default: return heap_.malloc(event.thread, size);
    }
  }

  Address reallocate(const Event& event) {
    const std::uint64_t size = program_.size_of(event);
    const Slot old = slots_[event.other];
    slots_[event.other] = {};
    Slot& slot = slots_[event.slot];
    slot = {heap_.realloc(event.thread, old.address, size), size};
    if (slot.address == 0) heap_.free(event.thread, old.address);  // reality went on with the new block: keep the two in step
    finish_block(event, slot, std::min(old.size, size));
    return slot.address;
  }

  void release(const Event& event) {
    Slot& slot = slots_[event.slot];
    if (slot.address != 0) heap_.free(event.thread, slot.address);
    slot = {};
  }

  // The program's own accesses to its new block.
  void finish_block(const Event& event, const Slot& slot, std::uint64_t kept) {
    const std::size_t list = next_touch_;
    if (event.flags & kPartial) ++next_touch_;
    if (slot.address == 0) {
      ++failed_;
      return;
    }
    if (timed_ && told_by_time(event)) return;
    if (event.flags & kPartial) {
      for (std::uint32_t i = program_.touch_offsets[list]; i < program_.touch_offsets[list + 1]; ++i)
        touch(event, slot.address + program_.extents[i].begin, program_.extents[i].end - program_.extents[i].begin);
    } else if (slot.size > kept) {
      touch(event, slot.address + kept, slot.size - kept);
    }
  }

  // The block's touches come one by one, at their time.
  bool told_by_time(const Event& event) {
    const auto index = static_cast<std::uint32_t>(&event - program_.events.data());
    const auto& blocks = program_.timed_blocks;
    while (next_timed_block_ < blocks.size() && blocks[next_timed_block_] < index) ++next_timed_block_;
    return next_timed_block_ < blocks.size() && blocks[next_timed_block_] == index;
  }

  void touch_timed(std::size_t event) {
    for (; next_timed_touch_ < program_.timed_touches.size() && program_.timed_touches[next_timed_touch_].event <= event; ++next_timed_touch_) {
      const TimedTouch& touch = program_.timed_touches[next_timed_touch_];
      const Slot& slot = slots_[touch.slot];
      if (slot.address == 0) continue;
      const std::uint64_t before = touch.ground == Ground::seen ? 0 : malloc_faults();
      twin_.touch(slot.address + touch.begin, touch.end - touch.begin, touch.write);
      if (touch.ground != Ground::seen) (touch.ground == Ground::usual ? usual_faults_ : guessed_faults_) += malloc_faults() - before;
    }
  }

  std::uint64_t malloc_faults() const {
    const heap::TwinMemory::Faults faults = twin_.faults();
    return faults.heap_minor + faults.mmapped_minor + faults.thread_heap_minor;
  }

  // Who asks for zeroes reads them (an empty hash table is looked up before it is filled): where calloc had nothing to
  // clear, the read maps the zero page and the write after it is a second fault.
  void touch(const Event& event, Address address, std::uint64_t length) {
    if (event.op == HeapOp::calloc && length > kPageSize) twin_.touch(address, length, false);
    twin_.touch(address, length, true);
  }

  void tally() {
    using heap::MemoryCall;
    counted_.brk += memory_.count(MemoryCall::sbrk);
    counted_.mmap += memory_.count(MemoryCall::map);
    counted_.munmap += memory_.count(MemoryCall::unmap);
    counted_.mremap += memory_.count(MemoryCall::remap);
    counted_.madvise += memory_.count(MemoryCall::advise);
    counted_.mprotect += memory_.count(MemoryCall::protect);
    memory_.clear_log();
  }

  double cost_so_far() {
    tally();
    Prediction p;
    count_malloc(p);
    return cost_of(p, program_.costs);
  }

  // Faults, calls and released pages of malloc so far.
  void count_malloc(Prediction& p) const {
    const heap::TwinMemory::Faults faults = twin_.faults();
    p.heap_minor = faults.heap_minor;
    p.mmapped_minor = faults.mmapped_minor;
    p.thread_heap_minor = faults.thread_heap_minor;
    p.calls = counted_;
    const std::uint64_t resident = twin_.resident_heap_pages() + twin_.resident_mmapped_pages() + twin_.resident_thread_heap_pages();
    const std::uint64_t came = p.malloc_minor();
    p.released_pages = came > resident ? came - resident : 0;
  }

  Prediction outcome() {
    tally();
    Prediction p;
    count_malloc(p);
    p.rest_minor = program_.observed.rest_minor;
    p.major_faults = program_.observed.major();
    p.rss_peak_bytes = twin_.peak_resident_pages() << kPageShift;
    p.rss_end_bytes = twin_.resident_pages() << kPageShift;
    p.peak_time = peak_time_;
    if (timed_) {  // without the recorder
      p.rest_minor -= std::min(p.rest_minor, program_.borrowed.faults);
      for (std::uint64_t* bytes : {&p.rss_peak_bytes, &p.rss_end_bytes}) *bytes -= std::min(*bytes, program_.borrowed.pages << kPageShift);
    }
    p.failed = failed_;
    p.unseen_minor = usual_faults_ + guessed_faults_;
    p.unseen_error = static_cast<double>(usual_faults_) * program_.usual_error + static_cast<double>(guessed_faults_) * program_.guessed_error;
    p.cost_ns = cost_of(p, program_.costs);
    return p;
  }
};

}  // namespace

heap::Parameters recorded_parameters(const Program& program) {
  heap::Parameters parameters;
  parameters.tunables = heap::Tunables::from_environment(program.tunables, program.environment);
  parameters.version = heap::Version::nearest(program.glibc_version).version;
  parameters.cpus_online = program.cpus_online;
  parameters.thp_madvise_bytes = program.thp_madvise_bytes;
  parameters.break_known = program.break_known;
  return parameters;
}

Prediction replay(const Program& program, const heap::Parameters& parameters, Placement placement, ReplayWatch* watch, Touches touches) {
  ReplayPlan plan;
  plan.placement = placement;
  plan.watch = watch;
  plan.touches = touches;
  return *Replay(program, parameters, plan).run();
}

std::optional<Prediction> replay(const Program& program, const heap::Parameters& parameters, const ReplayPlan& plan) {
  return Replay(program, parameters, plan).run();
}

}  // namespace faultline::replay
