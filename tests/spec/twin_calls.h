// A spec's calls, performed on the twin's address space.
#pragma once

#include "mm/space/address_space.h"
#include "process.h"

namespace faultline::spec {

// What a process used when it was reset, bytes: limits are counted from it.
struct InUse {
  std::uint64_t address_space = 0, data = 0, locked = 0;
  std::uint64_t hard[16];  // by RLIMIT_*: what a process without privilege cannot exceed

  InUse();
  void measure(const mm::AddressSpace& space);
};

// Op::reset measures in_use again. exact_places: answers the address of what was placed outside the window, else kElsewhere.
Answer perform(mm::AddressSpace& space, const Call& call, InUse& in_use, bool exact_places);

}  // namespace faultline::spec
