#include "heap_facts.h"

#include "heap/trim.h"

namespace faultline::diff {
namespace {

using heap::ArenaAccount;
using heap::Part;

std::uint64_t in_bins(const ArenaAccount& a) { return a[Part::trimmable].bytes + a[Part::pinned].bytes; }
std::uint64_t top(const ArenaAccount& a) { return a[Part::top_trimmable].bytes + a[Part::top_kept].bytes; }
std::uint64_t available(const ArenaAccount& a) { return a[Part::fastbins].bytes + in_bins(a) + top(a); }

std::uint64_t info_fact(const ArenaAccount& a, std::uint64_t fact) {
  switch (fact) {
    case kFactFastCount: return a.fastbin_chunks;
    case kFactFastBytes: return a[Part::fastbins].bytes;
    case kFactRestCount: return a.bin_chunks + 1;  // top is one
    case kFactRestBytes: return in_bins(a) + top(a) + a.bin_chunks;  // malloc_info adds up size words, with PREV_INUSE
    default: return a.system_mem;
  }
}

std::uint64_t fall_without(const heap::HeapImage& image, heap::Address block) {
  for (const heap::ImagePiece& piece : image.pieces) {
    if (block < piece.start || block >= piece.end || !piece.holds_top()) continue;
    heap::ImagePiece copy = piece;  // where the blocks are free
    heap::Address user = heap::user_of(piece.first);
    for (heap::ImageChunk& chunk : copy.chunks) {
      if (chunk.use == heap::ChunkUse::live && chunk.owner != kOwners && user >= block) chunk.use = heap::ChunkUse::bin;
      user += chunk.size;
    }
    const heap::Trimmed then = heap::trim(image, copy, [](const heap::ImageChunk& chunk) { return heap::is_free(chunk.use); });
    return heap::fall_after_free(image, copy, then.top);
  }
  return 0;
}

}  // namespace

std::uint64_t fact_of(const heap::HeapImage& image, const heap::Accounting& account, const Op& op, heap::Address block) {
  const std::uint64_t fact = op.a, number = op.b;
  const ArenaAccount& total = account.total;
  const std::uint64_t arenas = account.arenas.size();
  switch (fact) {
    case kFactArena: return total.system_mem;
    case kFactOrdblks: return total.bin_chunks + arenas;
    case kFactSmblks: return total.fastbin_chunks;
    case kFactHblks: return account.mapped.blocks;
    case kFactHblkhd: return account.mapped.mapped_bytes;
    case kFactFsmblks: return total[Part::fastbins].bytes;
    case kFactUordblks: return total.system_mem - available(total);
    case kFactFordblks: return available(total);
    case kFactKeepcost: return top(account.arenas[0]);
    case kFactArenas: return arenas;
    case kFactLiveTouched: return total[Part::live].resident + account.mapped.live.resident;
    case kFactLiveUntouched:
      return total[Part::live].bytes + account.mapped.live.bytes - total[Part::live].resident - account.mapped.live.resident;
    case kFactTrimDrop: return static_cast<std::uint64_t>(total.trim_break_drop);
    case kFactTrimAdvised: return total.trim_pages.bytes;
    case kFactTrimResident: return total.trim_pages.resident + total.trim_break_resident;
    case kFactKeptWithout:
      return total.system_mem - total.trim_pages.bytes - static_cast<std::uint64_t>(total.trim_break_drop) -
             heap::gain_of(image, static_cast<heap::OwnerId>(number));
    case kFactFallWithout: return fall_without(image, block);
    default:
      if (number >= arenas) return 0;
      return info_fact(account.arenas[number == 0 ? 0 : arenas - number], fact);  // the newest comes first after the main one
  }
}

void check_pins(const heap::HeapImage& image, const heap::Accounting& account) {
  const heap::Pins pins = heap::pins_of(image);
  heap::Bytes held;
  for (const heap::PagePin& pin : pins.pages) held += pin.held;
  FL_ASSERT(held.bytes == account.total[Part::pinned].bytes && held.resident == account.total[Part::pinned].resident);
  for (const heap::EndPin& pin : pins.ends) FL_ASSERT(pin.fall_bytes > 0 && pin.held.bytes >= pin.held.resident && pin.all.blocks + pin.cached_bytes > 0);
}

}  // namespace faultline::diff
