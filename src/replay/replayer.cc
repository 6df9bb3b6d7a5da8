#include "replay/replayer.h"

#include <algorithm>
#include <array>

#include "base/prefetch.h"
#include "replay/heap_looks.h"
#include "replay/modelled.h"
#include "replay/thread_lives.h"
#include "replay/workspace.h"

namespace faultline::replay {
namespace {

using heap::Address;
using trace::HeapOp;
using Memory = Modelled::Memory;

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
        process_(std::make_unique<Modelled>(frames_, program, plan, parameters)),
        slots_(plan.workspace == nullptr ? std::vector<Slot>() : std::move(plan.workspace->slots)),
        lives_(program, same_arena_limits(program, parameters)) {
    slots_.assign(program.slots, {});
    if (plan_.box == nullptr) return;
    *plan_.box = heap::OutcomeBox(heap_model().settings());
    if (program.threads.size() > 1) plan_.box->arena_limit_asked();  // decides whether the recorded arenas are used
    heap_model().note_outcome(plan_.box);
  }

  ~Replay() {
    if (plan_.workspace == nullptr) return;
    plan_.workspace->heap_words.emplace(std::move(twin()).take_host_memory());
    plan_.workspace->slots = std::move(slots_);
  }
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  std::optional<Prediction> run() {
    for (std::size_t i = 0; i < program_.events.size(); ++i) {
      const Event& event = program_.events[i];
      if (slots_.size() >= kFewBlocks) look_ahead(i);
      if ((i >= next_pause_ || event.time >= next_rest_time_) && !pause(i, event.time)) return std::nullopt;
      if (trims_.running() && trims_.due(event)) heap_model().malloc_trim(event.thread, 0);
      if (event.flags & (kUnknown | kFailed)) {
        skip(event);
      } else {
        if (placement_ == Placement::recorded) place(event, i);
        lives_.begin(event.thread, heap_model());
        const std::uint64_t result = apply(event);
        lives_.begun(event.thread, heap_model());
        if (plan_.looks != nullptr) note_address(event, result);
        if (watch_ != nullptr) {
          watch_->after(i, event, result, memory().records());
          tally();
          note_peak(event.time);
        }
      }
      if (timed_) touch_timed(i);
      if (plan_.looks != nullptr) note_resident(i + 1);
    }
    if (plan_.looks != nullptr) look_at(HeapLooks::kEnd);
    advance_rest(~std::uint32_t{0});
    return outcome();
  }

 private:
  static constexpr std::size_t kAskedEvery = 4096;
  static constexpr std::size_t kFewBlocks = 65536;  // what is known of these is in the host's caches anyway

  const Program& program_;
  const ReplayPlan& plan_;
  TrimClock trims_;
  const Placement placement_;
  const bool timed_;
  ReplayWatch* const watch_;
  mm::FrameTable frames_;
  std::unique_ptr<Modelled> process_;
  std::vector<std::unique_ptr<Modelled>> ancestors_;  // their pages are shared until one side writes
  std::vector<Slot> slots_;
  SlotOwners owners_;
  ThreadLives lives_;
  CallCounts counted_;
  std::size_t next_call_ = 0, next_touch_ = 0, next_rest_ = 0, next_break_ = 0;
  std::size_t next_timed_block_ = 0, next_timed_touch_ = 0;
  std::array<std::uint64_t, kGrounds> faults_by_ground_{};
  std::uint32_t next_rest_time_ = 0;
  std::size_t next_break_event_ = 0;
  struct Child {
    std::uint32_t gone = 0;
    std::unique_ptr<mm::AddressSpace> memory;
  };
  std::vector<Child> children_;
  std::size_t next_child_ = 0, next_child_event_ = 0;
  std::size_t next_fork_ = 0;
  std::size_t next_pause_ = 0;
  std::uint64_t rest_pages_ = 0;
  std::uint64_t failed_ = 0;
  std::uint64_t peak_pages_ = 0;
  std::uint32_t peak_time_ = 0;

  heap::TwinMemory& twin() const { return process_->twin; }
  Memory& memory() const { return process_->memory; }
  heap::Heap<Memory>& heap_model() const { return process_->heap; }

  // Blocks are freed in no order: without this each free waits for far memory, for its slot, then for its chunk's header, and where
  // no cache takes the block for that of the chunk above, with which it may merge. All are known before it is their turn. No branch
  // asks what the event does: that is as hard to foresee as the memory is far.
  [[gnu::noinline]] void look_ahead(std::size_t at) const {
    constexpr std::size_t kEventsAhead = 128, kSlotsAhead = 72, kHeadersAhead = 48, kNeighboursAhead = 24;
    constexpr std::uint64_t kCached = 120;  // blocks beyond that are in no fastbin
    if (at + kEventsAhead >= program_.events.size()) return;
    const Event* const events = &program_.events[at];
    faultline::prefetch(&events[kEventsAhead]);
    faultline::prefetch(&slots_[given_slot(events[kSlotsAhead])]);
    heap::expect_header(twin(), heap::chunk_of_user(slots_[given_slot(events[kHeadersAhead])].address));
    const Slot& soon = slots_[given_slot(events[kNeighboursAhead])];
    if (soon.size > kCached) heap::expect_neighbours(twin(), heap::chunk_of_user(soon.address));
  }
  static std::uint32_t given_slot(const Event& event) {  // of the block that goes, else some slot
    const std::uint32_t slot = event.op == HeapOp::realloc ? event.other : event.slot;
    return slot == kNoSlot ? 0 : slot;
  }

  // Whatever is due before this event besides the calls of malloc. False: the replay is given up.
  bool pause(std::size_t event, std::uint32_t time) {
    if (plan_.looks != nullptr && !look_at(event)) return false;
    if (event % kAskedEvery == 0 && plan_.give_up && plan_.give_up({cost_so_far(), twin().peak_resident_pages() << kPageShift})) return false;
    if (time >= next_rest_time_) advance_rest(time);
    if (event == next_break_event_) move_foreign_break(event);
    while (next_fork_ < program_.forks.size() && program_.forks[next_fork_].event == event) fork(program_.forks[next_fork_++]);
    if (event == next_child_event_) change_children(event);
    if (lives_.end_threads(event, heap_model())) tally();  // made between events: part of no event's calls
    next_pause_ = std::min({next_break_event_, next_child_event_, lives_.next_end()});
    if (next_fork_ < program_.forks.size()) next_pause_ = std::min<std::size_t>(next_pause_, program_.forks[next_fork_].event);
    if (plan_.give_up) next_pause_ = std::min(next_pause_, event - event % kAskedEvery + kAskedEvery);
    if (plan_.looks != nullptr) next_pause_ = event + 1;
    return true;
  }

  // From here on the child: what is counted is what it does.
  void fork(const Fork& fork) {
    tally();
    ancestors_.push_back(std::move(process_));
    process_ = std::make_unique<Modelled>(*ancestors_.back(), fork.thread, plan_);
    twin().set_rest_pages(rest_pages_);
    if (plan_.box != nullptr) heap_model().note_outcome(plan_.box);
    if (plan_.looks != nullptr) plan_.looks->forget_the_peak();
    counted_ = {};
    failed_ = peak_pages_ = 0;
    faults_by_ground_ = {};
  }

  // A child's copy stands for all it does: that the parent's pages are shared.
  void change_children(std::size_t event) {
    std::erase_if(children_, [&](const Child& child) { return child.gone <= event; });
    for (; next_child_ < program_.children.size() && program_.children[next_child_].born <= event; ++next_child_) {
      auto copy = Modelled::copy_of(twin().space());  // also of a child that is gone by now: the pages were shared once
      if (program_.children[next_child_].gone > event) children_.push_back({program_.children[next_child_].gone, std::move(copy)});
    }
    next_child_event_ = next_child_ < program_.children.size() ? program_.children[next_child_].born : ~std::size_t{0};
    for (const Child& child : children_) next_child_event_ = std::min<std::size_t>(next_child_event_, child.gone);
  }

  // False if there was nothing more to look for and nothing else is wanted.
  bool look_at(std::size_t event) {
    HeapLooks& looks = *plan_.looks;
    while (looks.looked() < looks.wanted.size() && looks.wanted[looks.looked()] <= event) {
      looks.add({std::min(event, program_.events.size()), image_after(std::min(event, program_.events.size()))});
    }
    return !looks.only || looks.looked() < looks.wanted.size();
  }

  heap::HeapImage image_after(std::size_t events) {
    owners_.advance(program_, events);
    const LiveBlocks blocks(owners_.owners(), slots_);
    return heap::image_of(heap_model(), twin().current_break(), [&](Address user) { return blocks.find(user); },
                          [&](Address page) { return twin().resident(page); });
  }

  void note_address(const Event& event, std::uint64_t result) {
    if (event.op == HeapOp::free) return;
    ++plan_.looks->addresses_total;
    if (result == event.address) ++plan_.looks->addresses_matched;
  }

  void note_resident(std::size_t events) {
    if (const std::uint64_t pages = twin().resident_pages(); pages > plan_.looks->peak_resident_pages) {
      plan_.looks->peak_resident_pages = pages;
      plan_.looks->peak = events;
    }
  }

  void advance_rest(std::uint32_t time) {
    for (; next_rest_ < program_.rest.size() && program_.rest[next_rest_].time <= time; ++next_rest_) {
      rest_pages_ = program_.rest[next_rest_].pages;
      twin().set_rest_pages(rest_pages_);
      note_peak(program_.rest[next_rest_].time);
    }
    next_rest_time_ = next_rest_ < program_.rest.size() ? program_.rest[next_rest_].time : ~std::uint32_t{0};
  }

  void note_peak(std::uint32_t time) {
    if (twin().peak_resident_pages() <= peak_pages_) return;
    peak_pages_ = twin().peak_resident_pages();
    peak_time_ = time;
  }

  void move_foreign_break(std::size_t event) {
    while (next_break_ < program_.foreign_breaks.size() && program_.foreign_breaks[next_break_].event <= event) {
      twin().sbrk(program_.foreign_breaks[next_break_++].delta);
    }
    next_break_event_ = next_break_ < program_.foreign_breaks.size() ? program_.foreign_breaks[next_break_].event : ~std::size_t{0};
  }

  // Tells the twin where the kernel put the mappings of this event.
  void place(const Event& event, std::size_t index) {
    if (!program_.calls_exact) {
      if (event.flags & trace::kChunkMmapped && event.op != HeapOp::free) {
        twin().forget_placements();
        twin().place_next_map_at(page_floor(event.address - 16));
      }
      return;
    }
    while (next_call_ < program_.calls.size() && program_.calls[next_call_].event < index) ++next_call_;  // of events not replayed
    if (next_call_ == program_.calls.size() || program_.calls[next_call_].event != index) return;
    twin().forget_placements();
    for (; next_call_ < program_.calls.size() && program_.calls[next_call_].event == index; ++next_call_) {
      const AllocatorCall& call = program_.calls[next_call_];
      if (call.kind == trace::CallKind::mmap) twin().place_next_map_at(call.result);
      if (call.kind == trace::CallKind::mremap && call.new_length > call.length) twin().place_next_map_at(call.result);
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
        if (plan_.without_mallopt) return event.address;
        return static_cast<std::uint64_t>(
            heap_model().mallopt(event.thread, static_cast<int>(event.other), static_cast<int>(event.size)));
      case HeapOp::malloc_trim:
        return static_cast<std::uint64_t>(heap_model().malloc_trim(event.thread, program_.size_of(event)));
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
      case HeapOp::calloc: return heap_model().calloc(event.thread, 1, size);
      case HeapOp::memalign: return heap_model().memalign(event.thread, event.other, size);
      case HeapOp::pvalloc: return heap_model().pvalloc(event.thread, size);
      default: return heap_model().malloc(event.thread, size);
    }
  }

  Address reallocate(const Event& event) {
    const std::uint64_t size = program_.size_of(event);
    const Slot old = slots_[event.other];
    slots_[event.other] = {};
    Slot& slot = slots_[event.slot];
    slot = {heap_model().realloc(event.thread, old.address, size), size};
    if (slot.address == 0) heap_model().free(event.thread, old.address);  // reality went on with the new block: keep the two in step
    finish_block(event, slot, std::min(old.size, size));
    return slot.address;
  }

  void release(const Event& event) {
    Slot& slot = slots_[event.slot];
    if (slot.address != 0) heap_model().free(event.thread, slot.address);
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
      twin().touch(slot.address + touch.begin, touch.end - touch.begin, touch.write);
      if (touch.ground != Ground::seen) faults_by_ground_[static_cast<std::size_t>(touch.ground)] += malloc_faults() - before;
    }
  }

  std::uint64_t malloc_faults() const {
    const heap::TwinMemory::Faults faults = twin().faults();
    return faults.heap_minor + faults.mmapped_minor + faults.thread_heap_minor;
  }

  // Who asks for zeroes reads them (an empty hash table is looked up before it is filled): where calloc had nothing to
  // clear, the read maps the zero page and the write after it is a second fault.
  void touch(const Event& event, Address address, std::uint64_t length) {
    if (event.op == HeapOp::calloc && length > kPageSize) twin().touch(address, length, false);
    twin().touch(address, length, true);
  }

  void tally() {
    using heap::MemoryCall;
    counted_.brk += memory().count(MemoryCall::sbrk);
    counted_.mmap += memory().count(MemoryCall::map);
    counted_.munmap += memory().count(MemoryCall::unmap);
    counted_.mremap += memory().count(MemoryCall::remap);
    counted_.madvise += memory().count(MemoryCall::advise);
    counted_.mprotect += memory().count(MemoryCall::protect);
    memory().clear_log();
  }

  double cost_so_far() {
    tally();
    Prediction p;
    count_malloc(p);
    return cost_of(p, program_.costs);
  }

  // Faults, calls and released pages of malloc so far.
  void count_malloc(Prediction& p) const {
    const heap::TwinMemory::Faults faults = twin().faults();
    p.heap_minor = faults.heap_minor;
    p.mmapped_minor = faults.mmapped_minor;
    p.thread_heap_minor = faults.thread_heap_minor;
    p.calls = counted_;
    const std::uint64_t resident = twin().resident_heap_pages() + twin().resident_mmapped_pages() + twin().resident_thread_heap_pages();
    const std::uint64_t came = p.malloc_minor();
    p.released_pages = came > resident ? came - resident : 0;
  }

  Prediction outcome() {
    tally();
    Prediction p;
    count_malloc(p);
    p.rest_minor = program_.observed.rest_minor;
    p.major_faults = program_.observed.major();
    p.rss_peak_bytes = twin().peak_resident_pages() << kPageShift;
    p.rss_end_bytes = twin().resident_pages() << kPageShift;
    p.peak_time = peak_time_;
    if (timed_) {  // without the recorder
      p.rest_minor -= std::min(p.rest_minor, program_.borrowed.faults);
      for (std::uint64_t* bytes : {&p.rss_peak_bytes, &p.rss_end_bytes}) *bytes -= std::min(*bytes, program_.borrowed.pages << kPageShift);
      p.rss_end_bytes += program_.late.pages << kPageShift;
      p.rss_peak_bytes = std::max(p.rss_peak_bytes, p.rss_end_bytes);
    }
    p.failed = failed_;
    for (std::size_t ground = 0; ground < kGrounds; ++ground) {
      p.unseen_minor += faults_by_ground_[ground];
      p.unseen_error += static_cast<double>(faults_by_ground_[ground]) * program_.error_of[ground];
    }
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
