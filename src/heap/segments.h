// The pieces of address space that make up the main heap: one, unless somebody else moved the break or it could not
// grow. A chunk never crosses from one segment into another. Without a list (real memory), only the last one is known.
#pragma once

#include <algorithm>
#include <vector>

#include "heap/memory_provider.h"

namespace faultline::heap {

struct Segment {
  Address start = 0, end = 0;
};

template <bool kept>
class Segments {
 public:
  // A new top lies at start; the previous one was fenced off at its end.
  void open(Address start, Address end) {
    segments_.push_back({start, end});
    current_ = {start, end};
  }
  void set_end(Address end) {
    segments_.back().end = end;
    current_.end = end;
  }
  const Segment& current() const { return current_; }
  bool empty() const { return current_.end == 0; }

  // The segment that holds this address, nullptr if none does.
  const Segment* find(Address address) const {
    if (address >= current_.start && address < current_.end) [[likely]] return &current_;
    for (const Segment& segment : segments_) {
      if (address >= segment.start && address < segment.end) return &segment;
    }
    return nullptr;
  }

  std::vector<Segment> low_to_high() const {
    std::vector<Segment> sorted = segments_;
    std::sort(sorted.begin(), sorted.end(), [](const Segment& a, const Segment& b) { return a.start < b.start; });
    return sorted;
  }

 private:
  std::vector<Segment> segments_;  // the last one holds top
  Segment current_;
};

template <>
class Segments<false> {
 public:
  void open(Address start, Address end) { current_ = {start, end}; }
  void set_end(Address end) { current_.end = end; }
  const Segment& current() const { return current_; }

 private:
  Segment current_;
};

}  // namespace faultline::heap
