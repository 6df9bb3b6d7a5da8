#include "replay/heap_looks.h"

#include <algorithm>

namespace faultline::replay {
namespace {

bool by_address(const std::pair<heap::Address, heap::BlockFacts>& x, const std::pair<heap::Address, heap::BlockFacts>& y) { return x.first < y.first; }

}  // namespace

LiveBlocks::LiveBlocks(const Program& program, std::size_t events, const std::vector<Slot>& slots) {
  std::vector<heap::OwnerId> owners(slots.size(), heap::kNoOwner);
  const std::size_t own = program.first_own_event();
  for (std::size_t i = 0; i < events; ++i) {
    const Event& event = program.events[i];
    if (event.op != trace::HeapOp::free && event.slot != kNoSlot) owners[event.slot] = i < own ? kInherited : event.stack;
  }
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
