#include "replay/heap_looks.h"

#include <algorithm>

namespace faultline::replay {
namespace {

bool by_address(const std::pair<heap::Address, heap::BlockFacts>& x, const std::pair<heap::Address, heap::BlockFacts>& y) { return x.first < y.first; }

}  // namespace

void SlotOwners::advance(const Program& program, std::size_t events) {
  owners_.resize(program.slots, heap::kNoOwner);
  const std::size_t own = program.first_own_event();
  for (; events_ < events; ++events_) {
    const Event& event = program.events[events_];
    if (event.op != trace::HeapOp::free && event.slot != kNoSlot) owners_[event.slot] = events_ < own ? kInherited : event.stack;
  }
}

LiveBlocks::LiveBlocks(const std::vector<heap::OwnerId>& owners, const std::vector<Slot>& slots) {
  for (std::size_t i = 0; i < slots.size(); ++i) {
    if (slots[i].address != 0) blocks_.push_back({slots[i].address, {slots[i].size, owners[i]}});
  }
  std::sort(blocks_.begin(), blocks_.end(), by_address);
}

std::optional<heap::BlockFacts> LiveBlocks::find(heap::Address user) const {
  const auto at = std::lower_bound(blocks_.begin(), blocks_.end(), std::pair(user, heap::BlockFacts{}), by_address);
  if (at == blocks_.end() || at->first != user) return std::nullopt;
  return at->second;
}

}  // namespace faultline::replay
