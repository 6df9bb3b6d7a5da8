// One ledger from what the twin's two sides had at the moment: the kernel's (mappings and resident pages) and malloc's (chunks).
#pragma once

#include "analyze/address_map.h"
#include "analyze/ledger/ledger.h"
#include "heap/heap_image.h"
#include "replay/follow/memory_look.h"

namespace faultline::analyze {

// Live blocks by the stack that allocated them, before stacks have names.
struct LedgerOwner {
  heap::OwnerId owner = heap::kNoOwner;
  std::uint64_t blocks = 0, resident_bytes = 0, untouched_bytes = 0;
};

struct BuiltLedger {
  Ledger ledger;  // without sites, when, time and measurement
  std::vector<LedgerOwner> owners;
};

// image: null where malloc was not replayed. What it says of residency is not looked at: the kernel's side tells that.
// areas: as of that moment.
BuiltLedger build_ledger(const replay::MemoryLook& look, heap::HeapImage* image, const AddressMap& areas);

}  // namespace faultline::analyze
