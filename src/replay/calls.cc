#include "replay/calls.h"

namespace faultline::replay {
namespace {

// Heap events are stamped with the tick counter, calls with the kernel's clock; the recorder aligns the two to about
// this much. A program's own call this close to malloc, in the same thread, would take a system call shorter than itself.
constexpr std::uint64_t kClockSlackNs = 1'000;

}  // namespace

bool is_query(const trace::MemoryCall& call) { return call.kind == trace::CallKind::brk && call.args[0] == 0; }

CallAttribution::CallAttribution(std::span<const trace::MemoryCall> calls) {
  for (const trace::MemoryCall& call : calls) {
    if (trace::is_malloc_call(call.kind)) threads_[call.tid].calls.push_back(&call);
  }
}

const std::vector<const trace::MemoryCall*>& CallAttribution::inside(const trace::HeapEvent& event) {
  inside_.clear();
  before_.clear();
  if (last_ == nullptr || last_tid_ != event.tid) {
    last_ = &threads_[event.tid];
    last_tid_ = event.tid;
  }
  Thread& thread = *last_;
  const bool long_enough = event.end_ns > event.begin_ns;  // shorter than any system call otherwise
  while (thread.next < thread.calls.size()) {
    const trace::MemoryCall& call = *thread.calls[thread.next];
    if (call.begin_ns + kClockSlackNs < event.begin_ns || (!long_enough && call.end_ns <= event.begin_ns)) {
      before_.push_back(&call);
    } else if (long_enough && call.end_ns <= event.end_ns + kClockSlackNs) {
      inside_.push_back(&call);
    } else {
      break;
    }
    ++thread.next;
  }
  return inside_;
}

}  // namespace faultline::replay
