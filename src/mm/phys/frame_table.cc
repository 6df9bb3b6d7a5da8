#include "mm/phys/frame_table.h"

#include "base/assert.h"

namespace faultline::mm {

FrameTable::FrameTable(std::uint64_t limit) : limit_(limit) {
  frames_.emplace_back();
  frames_[0].references = 1;
  frames_[0].use = FrameUse::zero_page;
  by_use_[static_cast<std::size_t>(FrameUse::zero_page)] = 1;
}

void FrameTable::acquire(Pfn pfn) {
  Frame& frame = at(pfn);
  FL_ASSERT(frame.references > 0);
  ++frame.references;
}

void FrameTable::release(Pfn pfn) {
  Frame& frame = at(pfn);
  FL_ASSERT(frame.references > frame.users && frame.use != FrameUse::zero_page);
  if (--frame.references > 0) return;
  if (observer_ != nullptr && !frame.elsewhere) observer_->on_freed(pfn);
  --by_use_[static_cast<std::size_t>(frame.use)];
  --in_use_;
  frame = Frame{};
  free_.push_back(pfn.value);
}

void FrameTable::map(Pfn pfn, FrameUser user) {
  acquire(pfn);
  Frame& frame = at(pfn);
  if (frame.users++ == 0) {
    frame.user = user;
    return;
  }
  std::uint32_t link = free_links_;
  if (link != 0) {
    free_links_ = links_[link].next;
  } else {
    link = static_cast<std::uint32_t>(links_.size());
    links_.emplace_back();
  }
  links_[link] = Link{user, frame.more};
  frame.more = link;
}

FrameUser& FrameTable::find_user(Frame& frame, FrameUser user) {
  if (frame.user == user) return frame.user;
  std::uint32_t link = frame.more;
  while (link != 0 && links_[link].user != user) link = links_[link].next;
  FL_ASSERT(link != 0);
  return links_[link].user;
}

void FrameTable::unmap_one_of_many(Pfn pfn, FrameUser user) {
  Frame& frame = at(pfn);
  FL_ASSERT(frame.users > 1);
  // The first of the list takes the place of the one that leaves.
  const std::uint32_t link = frame.more;
  find_user(frame, user) = links_[link].user;
  frame.more = links_[link].next;
  links_[link] = Link{FrameUser{}, free_links_};
  free_links_ = link;
  --frame.users;
  release(pfn);
}

void FrameTable::move_user(Pfn pfn, FrameUser from, FrameUser to) { find_user(at(pfn), from) = to; }

bool FrameTable::used_by(Pfn pfn, FrameUser user) const {
  bool found = false;
  for_each_user(pfn, [&](const FrameUser& one) { found = found || one == user; });
  return found;
}

void FrameTable::check_invariants() const {
  std::array<std::uint64_t, kFrameUses> seen{};
  std::uint64_t linked = 0;
  for (const Frame& frame : frames_) {
    ++seen[static_cast<std::size_t>(frame.use)];
    FL_ASSERT((frame.use == FrameUse::free) == (frame.references == 0));
    FL_ASSERT(frame.users <= frame.references);
    FL_ASSERT(!frame.exclusive || (frame.use == FrameUse::anonymous && frame.users == 1));
    FL_ASSERT((frame.users > 0) == (frame.user.space != nullptr));
    FL_ASSERT(!frame.swap_cache || (frame.use == FrameUse::anonymous && frame.references > frame.users && frame.index != 0));
    std::uint32_t users = frame.users > 0 ? 1 : 0;
    for (std::uint32_t link = frame.more; link != 0; link = links_[link].next) ++users;
    FL_ASSERT(users == frame.users);
    if (users > 1) linked += users - 1;
  }
  std::uint64_t unused = 0;
  for (std::uint32_t link = free_links_; link != 0; link = links_[link].next) ++unused;
  FL_ASSERT(linked + unused + 1 == links_.size());
  FL_ASSERT(seen[0] == free_.size());
  FL_ASSERT(in_use_ + free_.size() + 1 == frames_.size());
  for (std::size_t use = 1; use < kFrameUses; ++use) FL_ASSERT(seen[use] == by_use_[use]);
  for (const std::uint64_t number : free_) FL_ASSERT(frames_[number].use == FrameUse::free);
}

}  // namespace faultline::mm
