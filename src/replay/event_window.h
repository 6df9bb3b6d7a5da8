// EventWindow: the heap events of a recording, each known some way before its turn. What an event will look up lies in far memory when
// many blocks live, and is asked for in time (load.cc).
#pragma once

#include <array>
#include <cstddef>

#include "trace/recording.h"

namespace faultline::replay {

class EventWindow {
 public:
  static constexpr std::size_t kAhead = 32;

  explicit EventWindow(trace::HeapEventReader& reader) : reader_(reader) {}

  // The next event whose turn it is, or nullptr at the end. came(event): kAhead events before its turn; halfway(event): half of that.
  template <typename Came, typename Halfway>
  trace::HeapEvent* next(Came came, Halfway halfway) {
    while (!ended_ && read_ < turn_ + kAhead) {
      trace::HeapEvent& event = events_[read_ % kAhead];
      ended_ = !reader_.next(event);
      if (!ended_) came(event), ++read_;
    }
    for (; half_ < read_ && half_ < turn_ + kAhead / 2; ++half_) halfway(events_[half_ % kAhead]);
    return turn_ == read_ ? nullptr : &events_[turn_++ % kAhead];
  }

 private:
  trace::HeapEventReader& reader_;
  std::array<trace::HeapEvent, kAhead> events_;
  std::size_t read_ = 0, half_ = 0, turn_ = 0;  // events so far
  bool ended_ = false;
};

}  // namespace faultline::replay
