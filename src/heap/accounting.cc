#include "heap/accounting.h"

#include <algorithm>

#include "base/assert.h"
#include "heap/trim.h"

namespace faultline::heap {
namespace {

class PieceAccount {
 public:
  PieceAccount(const HeapImage& image, const ImagePiece& piece, ArenaAccount& account)
      : piece_(piece), account_(account), trimmed_(trim(image, piece, [](const ImageChunk& chunk) { return is_free(chunk.use); })), gone_(trimmed_) {}

  void add() {
    add_range(Part::own, piece_.start, piece_.first);
    Address at = piece_.first;
    for (const ImageChunk& chunk : piece_.chunks) {
      add_chunk(at, chunk);
      at += chunk.size;
    }
    FL_ASSERT(at == piece_.end);
    for (const AddressRange& range : trimmed_.pages) account_.trim_pages += {range.bytes(), piece_.resident_bytes(range.start, range.end)};
    account_.trim_break_drop += trimmed_.break_drop;
    account_.trim_break_resident += piece_.resident_bytes(trimmed_.end, piece_.end);
  }

 private:
  const ImagePiece& piece_;
  ArenaAccount& account_;
  const Trimmed trimmed_;
  GonePart gone_;

  void add_range(Part part, Address from, Address to) { account_[part] += {to - from, piece_.resident_bytes(from, to)}; }

  void add_chunk(Address at, const ImageChunk& chunk) {
    const Address end = at + chunk.size;
    switch (chunk.use) {
      case ChunkUse::live:
        ++account_.live_blocks;
        return add_live(at, chunk);
      case ChunkUse::own:
      case ChunkUse::fence: return add_range(Part::own, at, end);
      case ChunkUse::tcache:
        ++account_.cached_blocks;
        return add_range(Part::tcache, at, end);
      case ChunkUse::fastbin:
        ++account_.fastbin_chunks;
        return add_range(Part::fastbins, at, end);
      case ChunkUse::bin:
        ++account_.bin_chunks;
        return add_bin(at, end);
      case ChunkUse::top: return add_top(at, end);
    }
  }

  // A block may use the first word of the chunk above, as that one may use the first word of the next. It is counted as if it were
  // its own first word: so it is inside its chunk, and in the page of its header.
  void add_live(Address at, const ImageChunk& chunk) {
    const Address user = user_of(at), end = at + chunk.size;
    const std::uint64_t above = user + chunk.requested > end ? user + chunk.requested - end : 0;
    FL_ASSERT(above <= 8);
    const bool header_resident = piece_.resident_at(at);
    const std::uint64_t inside = chunk.requested - above;
    const std::uint64_t resident = piece_.resident_bytes(user, user + inside) + (header_resident ? above : 0);
    account_[Part::live] += {chunk.requested, resident};
    account_[Part::rounding] += {chunk.size - chunk.requested, piece_.resident_bytes(at, end) - resident};
  }

  void add_bin(Address at, Address end) {
    const AddressRange gone = gone_.of({at, end});
    add_range(Part::pinned, at, gone.start);
    add_range(Part::trimmable, gone.start, gone.end);
    add_range(Part::pinned, gone.end, end);
  }

  void add_top(Address at, Address end) {
    const AddressRange gone = gone_.of({at, end});
    add_range(Part::top_kept, at, gone.start);
    add_range(Part::top_trimmable, gone.start, gone.end);
  }
};

}  // namespace

std::string_view name_of(Part part) {
  static constexpr std::string_view kNames[kParts] = {"live",   "rounding",      "tcache",   "fastbins", "trimmable",
                                                      "pinned", "top_trimmable", "top_kept", "own",      "foreign"};
  return kNames[static_cast<std::size_t>(part)];
}

Bytes ArenaAccount::sum() const {
  Bytes sum;
  for (const Bytes& part : parts) sum += part;
  return sum;
}

ArenaAccount& ArenaAccount::operator+=(const ArenaAccount& other) {
  for (std::size_t i = 0; i < kParts; ++i) parts[i] += other.parts[i];
  live_blocks += other.live_blocks;
  cached_blocks += other.cached_blocks;
  fastbin_chunks += other.fastbin_chunks;
  bin_chunks += other.bin_chunks;
  system_mem += other.system_mem;
  unopened_bytes += other.unopened_bytes;
  trim_pages += other.trim_pages;
  trim_break_drop += other.trim_break_drop;
  trim_break_resident += other.trim_break_resident;
  return *this;
}

Accounting account(const HeapImage& image) {
  Accounting result;
  result.arenas.resize(image.arenas.size());
  std::vector<std::uint64_t> mapped_in(image.arenas.size());
  for (const ImagePiece& piece : image.pieces) {
    PieceAccount(image, piece, result.arenas[piece.arena]).add();
    mapped_in[piece.arena] += piece.end - piece.start;
    if (piece.arena != kMainArena) result.arenas[piece.arena].unopened_bytes += image.heap_bytes - (piece.end - piece.start);
  }
  for (ArenaId id = 0; id < result.arenas.size(); ++id) {
    ArenaAccount& arena = result.arenas[id];
    arena.system_mem = image.arenas[id].system_mem;
    FL_ASSERT(arena.system_mem >= mapped_in[id] && (id == kMainArena || arena.system_mem == mapped_in[id]));
    arena[Part::foreign].bytes = arena.system_mem - mapped_in[id];
    FL_ASSERT(arena.sum().bytes == arena.system_mem);
    result.total += arena;
  }
  for (const ImageMapping& mapping : image.mappings) {
    ++result.mapped.blocks;
    result.mapped.mapped_bytes += mapping.length;
    result.mapped.live += {mapping.requested, mapping.requested_resident};
    result.mapped.rounding += {mapping.length - mapping.requested, mapping.resident - mapping.requested_resident};
  }
  return result;
}

}  // namespace faultline::heap
