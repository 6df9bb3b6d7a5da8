// LockOrder: puts the events of several threads into the order in which they got the locks of malloc's arenas.
#pragma once

#include <cstdint>
#include <vector>

#include "replay/program.h"

namespace faultline::replay {

// When each event began and ended, for the events from `first` on (before that there was one thread only).
struct EventTimes {
  std::uint32_t first = 0;
  std::vector<std::uint64_t> begin_ns;
  std::vector<std::uint32_t> length_ns;  // not below the recorder's resolution

  std::uint64_t begin(std::uint32_t event) const { return event < first ? 0 : begin_ns[event - first]; }
  std::uint64_t end(std::uint32_t event) const { return event < first ? 0 : begin_ns[event - first] + length_ns[event - first]; }
};

struct OrderFound {
  std::uint64_t moved = 0;     // events that stand elsewhere than their time stamps say
  bool explains_all = true;    // every address and call, to the end
  std::vector<std::uint32_t> order;  // of the events; empty if nothing moved
};

// program: with exact calls. Its events are left as they are.
OrderFound find_lock_order(const Program& program, const EventTimes& times);

}  // namespace faultline::replay
