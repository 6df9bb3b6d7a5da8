// Who shares pages with free memory: fed the chunks of a heap from low to high.
#pragma once

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "heap/pins.h"

namespace faultline::heap {

class PageShares {
 public:
  void used(Address at, const ImageChunk& chunk) {
    const Address last = page_floor(at + chunk.size - 1);
    move_to(page_floor(at));
    holders_.push_back({at, &chunk});
    below_ = {at, &chunk};
    if (last == page_) return;
    move_to(last);  // whole pages inside a chunk hold nothing else
    holders_.push_back({at, &chunk});
  }
  // [from, to) is free and stays.
  void held(const ImagePiece& piece, Address from, Address to) {
    while (from < to) {
      move_to(page_floor(from));
      const Address next = std::min(to, page_ + kPageSize);
      held_ += {next - from, piece.resident_at(from) ? next - from : 0};
      from = next;
    }
  }
  void finish() {  // a piece of memory ends: nothing is shared with the next
    move_to(~Address{0});
    below_ = {};
  }

  std::vector<PagePin> by_owner() const {
    std::vector<PagePin> pins;
    for (const auto& [owner, pin] : pins_) pins.push_back(pin.pin);
    std::sort(pins.begin(), pins.end(), [](const PagePin& x, const PagePin& y) {
      return x.held.bytes != y.held.bytes ? x.held.bytes > y.held.bytes : x.blocks.owner < y.blocks.owner;
    });
    return pins;
  }

 private:
  struct Holder {
    Address at = 0;
    const ImageChunk* chunk = nullptr;
    bool live() const { return chunk != nullptr && chunk->use == ChunkUse::live; }
  };
  struct Owner {
    PagePin pin;
    Address last = 0;  // the last block counted
  };
  Address page_ = ~Address{0};
  std::vector<Holder> holders_;  // chunks in use in the page
  Bytes held_;                   // what is free in it
  Holder below_;                 // the last chunk in use
  std::unordered_map<OwnerId, Owner> pins_;

  void move_to(Address page) {
    if (page == page_) return;
    if (held_.bytes > 0) share_out();
    page_ = page;
    holders_.clear();
    held_ = {};
  }

  // Equal shares to the live blocks of the page; the first has what is left. A page with no block at all belongs to a free chunk
  // that begins so near its page's end that malloc keeps this one too: the block below it holds it.
  void share_out() {
    std::erase_if(holders_, [](const Holder& holder) { return !holder.live(); });
    if (holders_.empty() && below_.live()) holders_.push_back(below_);
    if (holders_.empty()) return give({}, held_);
    const std::uint64_t n = holders_.size();
    for (std::size_t i = 0; i < n; ++i) {
      const auto part = [&](std::uint64_t whole) { return whole / n + (i == 0 ? whole % n : 0); };
      give(holders_[i], {part(held_.bytes), part(held_.resident)});
    }
  }
  void give(const Holder& holder, Bytes bytes) {
    const OwnerId owner = holder.live() ? holder.chunk->owner : kNoOwner;
    Owner& row = pins_[owner];
    row.pin.blocks.owner = owner;
    row.pin.held += bytes;
    if (!holder.live() || row.last == holder.at) return;
    row.last = holder.at;
    ++row.pin.blocks.blocks;
    row.pin.blocks.bytes += holder.chunk->requested;
  }
};

}  // namespace faultline::heap
