// SpaceReverseMap: from a frame to the entries that map it, for page replacement. Counterpart: mm/rmap.c.
#pragma once

#include "mm/phys/frame_observer.h"
#include "mm/phys/frame_table.h"

namespace faultline::mm {

class SpaceReverseMap final : public ReverseMap {
 public:
  explicit SpaceReverseMap(FrameTable& frames) : frames_(frames) {}

  unsigned test_and_clear_accessed(Pfn pfn) override;
  bool dirty(Pfn pfn) const override;
  bool locked(Pfn pfn) const override;
  bool executable(Pfn pfn) const override;
  std::uint32_t swap_out(Pfn pfn, SwapSlot slot) override;
  void forget(Pfn pfn) override;
  void prefetch(Pfn pfn) const override;
  void split_huge(Pfn pfn) override;

 private:
  template <typename Visit>
  void for_each_user_that_may_go(Pfn pfn, Visit&& visit);

  FrameTable& frames_;
};

}  // namespace faultline::mm
