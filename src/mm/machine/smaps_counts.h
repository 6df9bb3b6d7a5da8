// SmapsCounts: what smaps adds up over the pages of a mapping. Counterpart: struct mem_size_stats (fs/proc/task_mmu.c).
#pragma once

#include <cstdint>

#include "mm/space/address_space.h"

namespace faultline::mm {

struct SmapsCounts {  // bytes; the proportional ones with 12 binary digits after the point, as Linux keeps them
  std::uint64_t resident = 0, anonymous = 0, lazy_free = 0, referenced = 0, anonymous_huge = 0;
  std::uint64_t shared_clean = 0, shared_dirty = 0, private_clean = 0, private_dirty = 0;
  std::uint64_t pss = 0, pss_anonymous = 0, pss_file = 0, pss_shmem = 0, pss_dirty = 0, pss_locked = 0;

  void add(const AddressSpace& space, const Vma& vma);
};

}  // namespace faultline::mm
