#include "heap_facts.h"

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

}  // namespace

std::uint64_t fact_of(const heap::Accounting& account, const heap::HeapState& main, std::uint64_t fact, std::uint64_t number) {
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
    case kFactKeepcost: return main.top_size;
    case kFactArenas: return arenas;
    case kFactLiveTouched: return total[Part::live].resident + account.mapped.live.resident;
    case kFactLiveUntouched:
      return total[Part::live].bytes + account.mapped.live.bytes - total[Part::live].resident - account.mapped.live.resident;
    case kFactTrimDrop: return static_cast<std::uint64_t>(total.trim_break_drop);
    case kFactTrimAdvised: return total.trim_pages.bytes;
    case kFactTrimResident: return total.trim_pages.resident + total.trim_break_resident;
    default:
      if (number >= arenas) return 0;
      return info_fact(account.arenas[number == 0 ? 0 : arenas - number], fact);  // the newest comes first after the main one
  }
}

}  // namespace faultline::diff
