// Which of the recorded memory system calls malloc made itself: those of the same thread inside an event's brackets.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <vector>

#include "trace/event.h"

namespace faultline::replay {

class CallAttribution {
 public:
  // calls: by begin_ns, of one process.
  explicit CallAttribution(std::span<const trace::MemoryCall> calls);

  // The calls made inside `event`, in order. Events of one thread must come in that thread's order.
  const std::vector<const trace::MemoryCall*>& inside(const trace::HeapEvent& event);
  // The program's own calls of this thread that were passed since the last `inside` of the thread: before the event.
  const std::vector<const trace::MemoryCall*>& before() const { return before_; }

 private:
  struct Thread {
    std::vector<const trace::MemoryCall*> calls;
    std::size_t next = 0;
  };
  std::unordered_map<trace::Tid, Thread> threads_;
  std::vector<const trace::MemoryCall*> inside_, before_;
  trace::Tid last_tid_ = 0;
  Thread* last_ = nullptr;
};

// The call changed nothing malloc could have wanted: brk(NULL), or a query.
bool is_query(const trace::MemoryCall& call);

}  // namespace faultline::replay
