// The order of malloc's locks: threads whose calls overlapped, recorded with time stamps that say less than what happened.
// The truth comes from the model: calls in one order, each with a bracket of time around its moment.
#include <gtest/gtest.h>

#include <random>

#include "heap/heap.h"
#include "heap/on/flat_memory.h"
#include "heap/on/logging_memory.h"
#include "replay/load.h"
#include "replay/verify.h"
#include "support/fake_recording.h"

namespace faultline::replay {
namespace {

using testing::FakeRecording;
using trace::CallKind;
using trace::HeapOp;
using Memory = heap::LoggingMemory<heap::FlatMemory>;

constexpr std::uint64_t kStepNs = 20'000;  // from one call's moment to the next

class Story {
 public:
  explicit Story(unsigned seed) : random_(seed), memory_(flat_), heap_(memory_, heap::Parameters{.version = {}, .tunables = {}, .cpus_online = 2}) {
    recording_.info.initial_brk = flat_.start_break();
  }

  // widest: how far a bracket reaches to either side of its moment, in steps. Threads free each other's blocks.
  FakeRecording& tell(unsigned threads, unsigned calls, unsigned widest) {
    for (unsigned i = 0; i < calls; ++i) {
      const auto thread = static_cast<unsigned>(i < 4 ? 0 : pick(threads));
      if (blocks_.size() < 40 || pick(2) == 0) {
        const std::uint64_t size = pick(8) == 0 ? pick(9000) : pick(400);
        const heap::Address block = heap_.malloc(static_cast<heap::ThreadId>(thread), size);
        blocks_.push_back(block);
        note(i, thread, widest, {.a = size, .result = block, .op = HeapOp::malloc, .flags = flags_of(block)});
      } else {
        const std::size_t which = pick(blocks_.size());
        const heap::Address block = blocks_[which];
        blocks_[which] = blocks_.back();
        blocks_.pop_back();
        const std::uint8_t flags = flags_of(block);
        heap_.free(static_cast<heap::ThreadId>(thread), block);
        note(i, thread, widest, {.b = block, .op = HeapOp::free, .flags = flags});
      }
    }
    auto by_order = [](const trace::HeapEvent& x, const trace::HeapEvent& y) { return x.order_ns() < y.order_ns(); };
    out_of_order_ = !std::is_sorted(recording_.events.begin(), recording_.events.end(), by_order);
    std::stable_sort(recording_.events.begin(), recording_.events.end(), by_order);
    std::stable_sort(recording_.call_list.begin(), recording_.call_list.end(), [](const auto& x, const auto& y) { return x.begin_ns < y.begin_ns; });
    return recording_;
  }
  bool out_of_order() const { return out_of_order_; }

 private:
  std::uint64_t pick(std::uint64_t n) { return random_() % n; }

  std::uint8_t flags_of(heap::Address block) {
    const std::uint64_t head = memory_.load_word(block - 8);
    return static_cast<std::uint8_t>(((head & heap::kMmapped) != 0 ? trace::kChunkMmapped : 0) | ((head & heap::kNonMain) != 0 ? trace::kChunkNonMain : 0));
  }

  // The bracket holds the moment; calls of one thread never overlap, and a block is handed out before it is freed.
  void note(unsigned i, unsigned thread, unsigned widest, trace::HeapEvent event) {
    const std::uint64_t moment = (i + 10) * kStepNs;
    const std::uint64_t before = pick(widest * kStepNs + 1), after = pick(widest * kStepNs + 1);
    event.tid = static_cast<trace::Tid>(100 + thread);
    std::uint64_t& last = last_end_[thread];
    event.begin_ns = std::max({moment - before, last + 2'000, event.op == HeapOp::free ? born_[event.b] + 1 : 0});
    event.begin_ns = std::min(event.begin_ns, moment);
    event.end_ns = moment + 1 + after % (kStepNs * 3 / 4);  // its next call is at least a step away
    if (event.op == HeapOp::malloc) {
      event.begin_ns = std::min(moment, std::max(event.begin_ns, freed_[event.result] + 1));
      born_[event.result] = event.end_ns;
    } else {
      freed_[event.b] = event.begin_ns;
    }
    last = event.end_ns;
    recording_.events.push_back(event);
    for (const heap::CallRecord& record : memory_.records()) add_call(record, event, moment);
    memory_.clear_log();
    recording_.info.end_ns = event.end_ns + kStepNs;
  }

  void add_call(const heap::CallRecord& record, const trace::HeapEvent& event, std::uint64_t moment) {
    trace::MemoryCall call;
    call.tid = event.tid;
    call.begin_ns = call.end_ns = moment;
    call.args[0] = record.address;
    call.args[1] = record.length;
    call.result = static_cast<std::int64_t>(record.result);
    switch (record.kind) {
      case heap::MemoryCall::sbrk:
        call.kind = CallKind::brk;
        call.args[0] = record.result + static_cast<std::uint64_t>(record.delta);
        call.result = static_cast<std::int64_t>(call.args[0]);
        break;
      case heap::MemoryCall::map:
        call.kind = CallKind::mmap;
        call.args[2] = record.protection == heap::Protection::none ? 0 : 3;
        break;
      case heap::MemoryCall::unmap: call.kind = CallKind::munmap; break;
      case heap::MemoryCall::protect: call.kind = CallKind::mprotect; break;
      case heap::MemoryCall::advise: call.kind = CallKind::madvise; break;
      case heap::MemoryCall::remap:
        call.kind = CallKind::mremap;
        call.args[2] = record.new_length;
        break;
    }
    recording_.call_list.push_back(call);
  }

  std::mt19937_64 random_;
  heap::FlatMemory flat_;
  Memory memory_;
  heap::Heap<Memory> heap_;
  FakeRecording recording_;
  std::vector<heap::Address> blocks_;
  std::map<unsigned, std::uint64_t> last_end_;
  std::map<heap::Address, std::uint64_t> born_, freed_;
  bool out_of_order_ = false;
};

TEST(ReplayOrder, OverlappingCallsAreOrderedByWhatTheyGave) {
  unsigned stories_out_of_order = 0, explained = 0;
  constexpr unsigned kStories = 60;
  for (unsigned seed = 1; seed <= kStories; ++seed) {
    Story story(seed);
    const unsigned threads = 2 + seed % 3;
    FakeRecording& recording = story.tell(threads, 1500, 2);
    const Program program = std::move(*load_program(recording, recording.info));
    const Verification v = verify(program);
    stories_out_of_order += story.out_of_order();
    EXPECT_EQ(program.order_explains_all, v.addresses_matched == v.addresses_total) << "seed " << seed;
    explained += v.addresses_matched == v.addresses_total && v.calls_matched == v.calls_total;
  }
  EXPECT_GT(stories_out_of_order, kStories / 2) << "the time stamps alone would have done";
  EXPECT_EQ(explained, kStories) << "of " << kStories << " stories, seeds 1 to " << kStories;
}

}  // namespace
}  // namespace faultline::replay
