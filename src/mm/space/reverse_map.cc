#include "mm/space/reverse_map.h"

#include <vector>

#include "mm/space/address_space.h"

namespace faultline::mm {

// The visit takes the user away, so that a list of several must be read first. Almost every page has one user.
template <typename Visit>
void SpaceReverseMap::for_each_user_that_may_go(Pfn pfn, Visit&& visit) {
  const Frame& frame = frames_.at(pfn);
  if (frame.users == 0) return;
  if (frame.users == 1) {
    const FrameUser user = frame.user;
    visit(user);
    return;
  }
  std::vector<FrameUser> users;
  frames_.for_each_user(pfn, [&](const FrameUser& user) { users.push_back(user); });
  for (const FrameUser& user : users) visit(user);
}

unsigned SpaceReverseMap::test_and_clear_accessed(Pfn pfn) {
  unsigned accessed = 0;
  frames_.for_each_user(pfn, [&](const FrameUser& user) { accessed += user.space->take_accessed(user.vpn) ? 1 : 0; });
  return accessed;
}

bool SpaceReverseMap::dirty(Pfn pfn) const {
  bool found = false;
  frames_.for_each_user(pfn, [&](const FrameUser& user) { found = found || user.space->page_table().entry(user.vpn)->dirty(); });
  return found;
}

bool SpaceReverseMap::locked(Pfn pfn) const {
  bool found = frames_.at(pfn).left_locked;
  frames_.for_each_user(pfn, [&](const FrameUser& user) {
    found = found || (user.space->mapped().locked != 0 && (user.space->flags_at(user.vpn) & kVmLocked) != 0);
  });
  return found;
}

bool SpaceReverseMap::executable(Pfn pfn) const {
  bool found = false;
  frames_.for_each_user(pfn, [&](const FrameUser& user) { found = found || (user.space->flags_at(user.vpn) & kVmExec) != 0; });
  return found;
}

std::uint32_t SpaceReverseMap::swap_out(Pfn pfn, SwapSlot slot) {
  std::uint32_t entries = 0;
  for_each_user_that_may_go(pfn, [&](const FrameUser& user) {
    user.space->swap_out_entry(user.vpn, slot);
    ++entries;
  });
  return entries;
}

void SpaceReverseMap::forget(Pfn pfn) {
  for_each_user_that_may_go(pfn, [](const FrameUser& user) { user.space->forget_entry(user.vpn); });
}

void SpaceReverseMap::prefetch(Pfn pfn) const {
  const Frame& frame = frames_.at(pfn);
  if (frame.users > 0) __builtin_prefetch(frame.user.space->page_table().entry(frame.user.vpn), 1);
}

void SpaceReverseMap::split_huge(Pfn pfn) {
  for_each_user_that_may_go(pfn, [](const FrameUser& user) { user.space->split_huge_entry(user.vpn); });
}

}  // namespace faultline::mm
