#include "mm/phys/frame_table.h"

#include "base/assert.h"

namespace faultline::mm {

FrameTable::FrameTable(std::uint64_t limit) : limit_(limit) {
  frames_.push_back(Frame{.references = 1, .use = FrameUse::zero_page});
  by_use_[static_cast<std::size_t>(FrameUse::zero_page)] = 1;
}

void FrameTable::acquire(Pfn pfn) {
  Frame& frame = at(pfn);
  FL_ASSERT(frame.references > 0);
  ++frame.references;
}

void FrameTable::release(Pfn pfn) {
  Frame& frame = at(pfn);
  FL_ASSERT(frame.references > 0 && frame.use != FrameUse::zero_page);
  if (--frame.references > 0) return;
  --by_use_[static_cast<std::size_t>(frame.use)];
  --in_use_;
  frame = Frame{};
  free_.push_back(pfn.value);
}

void FrameTable::check_invariants() const {
  std::array<std::uint64_t, kFrameUses> seen{};
  for (const Frame& frame : frames_) {
    ++seen[static_cast<std::size_t>(frame.use)];
    FL_ASSERT((frame.use == FrameUse::free) == (frame.references == 0));
  }
  FL_ASSERT(seen[0] == free_.size());
  FL_ASSERT(in_use_ + free_.size() + 1 == frames_.size());
  for (std::size_t use = 1; use < kFrameUses; ++use) FL_ASSERT(seen[use] == by_use_[use]);
  for (const std::uint64_t number : free_) FL_ASSERT(frames_[number].use == FrameUse::free);
}

}  // namespace faultline::mm
