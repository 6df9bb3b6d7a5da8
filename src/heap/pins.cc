#include "heap/pins.h"

#include <algorithm>
#include <unordered_map>

#include "base/assert.h"
#include "heap/page_shares.h"
#include "heap/trim.h"

namespace faultline::heap {
namespace {

constexpr std::uint64_t kLeastHeld = 64 * 1024;  // less is not worth a pin of its own: it counts for the next lower one

bool free_in_arena(const ImageChunk& chunk) { return is_free(chunk.use); }

// The blocks between two free stretches, while walking down from top.
class Barrier {
 public:
  void add(Address chunk, const ImageChunk& block) {
    chunk_bytes += block.size;
    if (block.use != ChunkUse::live) {
      cached_bytes_ += block.size;
      return;
    }
    if (all_.blocks == 0) {
      highest_ = user_of(chunk);
      highest_bytes_ = block.requested;
    }
    ++all_.blocks;
    all_.bytes += block.requested;
    Share& share = owners_[block.owner];
    share.owner = block.owner;
    ++share.blocks;
    share.bytes += block.requested;
  }
  void add_cached(const Barrier& other) {
    chunk_bytes += other.chunk_bytes;
    cached_bytes_ += other.cached_bytes_;
  }
  EndPin pin(ArenaId arena, Bytes held, std::uint64_t fall) const {
    EndPin pin{.arena = arena, .highest = highest_, .highest_bytes = highest_bytes_, .all = all_, .owners = {}, .cached_bytes = cached_bytes_,
               .held = held, .fall_bytes = fall};
    for (const auto& [owner, share] : owners_) pin.owners.push_back(share);
    std::sort(pin.owners.begin(), pin.owners.end(),
              [](const Share& x, const Share& y) { return x.bytes != y.bytes ? x.bytes > y.bytes : x.owner < y.owner; });
    if (pin.owners.size() > EndPin::kOwners) pin.owners.resize(EndPin::kOwners);
    return pin;
  }

  bool any_live() const { return all_.blocks > 0; }

  std::uint64_t chunk_bytes = 0;

 private:
  Address highest_ = 0;
  std::uint64_t highest_bytes_ = 0, cached_bytes_ = 0;
  Share all_;
  std::unordered_map<OwnerId, Share> owners_;
};

// Down from top, as long as less is in use than would be won: a heap full of data is no pin.
void add_end_pins(const HeapImage& image, const ImagePiece& piece, std::vector<EndPin>& pins) {
  std::size_t i = piece.chunks.size() - 1;
  Address at = piece.top();
  while (i > 0 && free_in_arena(piece.chunks[i - 1])) at -= piece.chunks[--i].size;  // fastbins: part of top by the next consolidation
  Barrier barrier;
  Bytes held;
  std::uint64_t in_use = 0, won = 0, fall = 0;
  std::vector<EndPin> found;
  std::size_t worth = 0;
  const auto close = [&](const Barrier& blocks, Bytes bytes, Address run) {
    const std::uint64_t falls = fall_after_free(image, piece, run);
    if (falls <= fall) return false;
    in_use += blocks.chunk_bytes;
    won += bytes.bytes;
    fall = falls;
    found.push_back(blocks.pin(piece.arena, bytes, fall));
    if (in_use <= won) worth = found.size();
    return true;
  };
  Barrier caches;  // blocks above free memory that are all cached: together one pin, of no live block
  Bytes caches_held;
  Address caches_run = 0;
  const auto close_caches = [&] {
    if (caches_run != 0) close(caches, caches_held, caches_run);
    caches = {};
    caches_held = {};
    caches_run = 0;
  };
  while (i > 0) {
    const ImageChunk& chunk = piece.chunks[--i];
    at -= chunk.size;
    if (!free_in_arena(chunk)) {
      if (chunk.use == ChunkUse::live && !barrier.any_live()) close_caches();
      barrier.add(at, chunk);
      continue;
    }
    held += {chunk.size, piece.resident_bytes(at, at + chunk.size)};
    if (i > 0 && free_in_arena(piece.chunks[i - 1])) continue;
    if (!barrier.any_live()) {
      caches.add_cached(barrier);
      caches_held += held;
      caches_run = at;
    } else if (held.bytes < kLeastHeld || !close(barrier, held, at)) {
      continue;
    }
    barrier = {};
    held = {};
  }
  if (!barrier.any_live()) {
    close_caches();
  } else if (piece.before != 0) {  // without them this heap goes away, with all it has open
    held += {piece.end - piece.top(), piece.resident_bytes(piece.top(), piece.end)};
    if (held.bytes >= kLeastHeld) close(barrier, held, piece.first);
  }
  found.resize(worth);
  pins.insert(pins.end(), found.begin(), found.end());
}

std::vector<PagePin> page_pins(const HeapImage& image) {
  PageShares shares;
  for (const ImagePiece& piece : image.pieces) {
    const Trimmed trimmed = trim(image, piece, free_in_arena);
    GonePart gone(trimmed);
    Address at = piece.first;
    for (const ImageChunk& chunk : piece.chunks) {
      const Address above = at + chunk.size;
      if (chunk.use == ChunkUse::bin) {
        const AddressRange part = gone.of({at, above});
        shares.held(piece, at, part.start);
        shares.held(piece, part.end, above);
      } else if (chunk.use != ChunkUse::fastbin) {
        shares.used(at, chunk);
      }
      at = above;
    }
    shares.finish();
  }
  return shares.by_owner();
}

class Weighing {
 public:
  explicit Weighing(const HeapImage& image) : image_(image), now_(given_back(free_in_arena)) {}

  std::uint64_t gain_of(OwnerId owner) const {
    const std::int64_t gain = given_back([owner](const ImageChunk& chunk) {
      return is_free(chunk.use) || (chunk.use == ChunkUse::live && chunk.owner == owner);
    }) - now_;
    return gain > 0 ? static_cast<std::uint64_t>(gain) : 0;
  }

 private:
  const HeapImage& image_;
  const std::int64_t now_;

  // By malloc_trim(0), and at the end of a thread arena's last heap by the frees themselves.
  template <class Free>
  std::int64_t given_back(Free free) const {
    std::int64_t sum = 0;
    for (const ImagePiece& piece : image_.pieces) {
      const Trimmed trimmed = trim(image_, piece, free);
      for (const AddressRange& range : trimmed.pages) sum += static_cast<std::int64_t>(range.bytes());
      sum += trimmed.break_drop;
      if (piece.arena == kMainArena || !piece.holds_top()) continue;
      if (trimmed.top < top_now(piece)) sum += static_cast<std::int64_t>(fall_after_free(image_, piece, trimmed.top));
    }
    return sum;
  }
  static Address top_now(const ImagePiece& piece) {  // once the fastbins are merged
    Address top = piece.top();
    for (std::size_t i = piece.chunks.size() - 1; i > 0 && free_in_arena(piece.chunks[i - 1]); --i) top -= piece.chunks[i - 1].size;
    return top;
  }
};

}  // namespace

std::uint64_t gain_of(const HeapImage& image, OwnerId owner) { return Weighing(image).gain_of(owner); }

Pins pins_of(const HeapImage& image) {
  Pins pins;
  for (const ImagePiece& piece : image.pieces) {
    if (piece.holds_top()) add_end_pins(image, piece, pins.ends);
  }
  pins.pages = page_pins(image);
  std::size_t weighed = 0;
  const Weighing weighing(image);
  for (PagePin& pin : pins.pages) {
    if (pin.blocks.owner == kNoOwner) continue;
    if (weighed++ == PagePin::kWeighed) break;
    pin.weighed = true;
    pin.gain_bytes = weighing.gain_of(pin.blocks.owner);
  }
  return pins;
}

}  // namespace faultline::heap
