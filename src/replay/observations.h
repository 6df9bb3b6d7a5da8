// Observations: what the recorder saw of a block just before it was freed or reallocated, found by the event that ends it.
#pragma once

#include <cstddef>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/units.h"
#include "trace/event.h"

namespace faultline::replay {

class Observations {
 public:
  // all: by time; must stay where they are.
  explicit Observations(std::span<const trace::TouchObservation> all) {
    for (const trace::TouchObservation& seen : all)
      if (!seen.at_exit) (seen.contents.empty() ? residency_ : contents_)[seen.tid].list.push_back(&seen);
  }

  bool any_contents() const { return !contents_.empty(); }

  // To be asked for in the order of each thread's events; nullptr: nothing was recorded.
  const trace::TouchObservation* residency(const trace::HeapEvent& event) { return find(residency_, event); }
  const trace::TouchObservation* contents(const trace::HeapEvent& event) { return find(contents_, event); }

 private:
  struct OfThread {
    std::vector<const trace::TouchObservation*> list;
    std::size_t next = 0;
  };
  using ByThread = std::unordered_map<trace::Tid, OfThread>;
  ByThread residency_, contents_;

  static const trace::TouchObservation* find(ByThread& by_thread, const trace::HeapEvent& event) {
    const auto thread = by_thread.find(event.tid);
    if (thread == by_thread.end()) return nullptr;
    auto& [list, next] = thread->second;
    while (next < list.size() && list[next]->time_ns < event.begin_ns) ++next;
    if (next == list.size() || list[next]->time_ns != event.begin_ns) return nullptr;
    const trace::TouchObservation* seen = list[next];
    if (page_floor(seen->address) > page_floor(event.b) + kPageSize || page_floor(seen->address) < page_floor(event.b)) return nullptr;
    ++next;
    return seen;
  }
};

}  // namespace faultline::replay
