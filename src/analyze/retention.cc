#include "analyze/retention.h"

#include <algorithm>
#include <unordered_map>

#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr std::size_t kPins = 5;
constexpr std::uint64_t kPinGap = 64 * 1024;   // a lower block is only listed with a gap worth naming
constexpr std::uint64_t kTrimHeader = 48;      // glibc keeps a free chunk's header pages: sizeof(malloc_chunk)
constexpr std::uint64_t kHeader = 16;

struct Chunk {
  std::uint64_t start, end;
  const Block* block;
};

bool in_main_arena(const Block& block) {
  return (block.flags & (trace::kChunkMmapped | trace::kChunkNonMain | trace::kForeignHeader)) == 0;
}

// Blocks of one page that also has free bytes, gathered while walking up the heap.
class PageShare {
 public:
  // Only [low, high) counts: below the highest live block.
  PageShare(std::unordered_map<trace::StackId, Holder>& holders, std::uint64_t low, std::uint64_t high)
      : holders_(holders), low_(low), high_(high) {}

  void chunk(const Chunk& chunk) {
    move_to(chunk.start >> kPageShift);
    add(chunk, std::min(chunk.end, (page_ + 1) << kPageShift));
    const std::uint64_t last = (chunk.end - 1) >> kPageShift;
    if (last == page_) return;
    move_to(last);  // pages wholly inside the chunk have no free byte
    add(chunk, chunk.end);
  }
  void finish() { move_to(0); }

 private:
  std::unordered_map<trace::StackId, Holder>& holders_;
  std::uint64_t low_, high_;
  std::uint64_t page_ = 0, used_ = 0;
  std::vector<const Block*> blocks_;

  void add(const Chunk& chunk, std::uint64_t end) {
    const std::uint64_t start = std::max(chunk.start, page_ << kPageShift);
    used_ += end > start ? end - start : 0;
    blocks_.push_back(chunk.block);
  }
  void move_to(std::uint64_t page) {
    if (page == page_) return;
    const std::uint64_t start = std::max(page_ << kPageShift, low_), end = std::min((page_ + 1) << kPageShift, high_);
    const std::uint64_t free_bytes = end > start + used_ ? end - start - used_ : 0;
    if (free_bytes > 0 && !blocks_.empty()) {
      for (const Block* block : blocks_) {
        Holder& holder = holders_[block->site];
        holder.site = block->site;
        holder.held_bytes += free_bytes / blocks_.size();
        ++holder.blocks;
        holder.block_bytes += block->bytes;
      }
    }
    page_ = page;
    used_ = 0;
    blocks_.clear();
  }
};

}  // namespace

Retention retention_of(const Attribution& attribution) {
  Retention result;
  result.end = attribution.end;
  result.peak = attribution.peak;
  result.most_free = attribution.most_free;
  result.thresholds = attribution.thresholds;

  const std::uint64_t heap_start = attribution.heap_start, heap_end = heap_start + attribution.end.heap_bytes;
  std::vector<Chunk> chunks;
  for (const Block& block : attribution.live) {
    if ((block.flags & trace::kChunkMmapped) != 0) result.mmapped_bytes += block.bytes;
    if (!in_main_arena(block) || block.address < heap_start + kHeader || block.address >= heap_end) continue;
    const std::uint64_t start = block.address - kHeader;
    chunks.push_back({start, std::min(start + chunk_bytes(block.bytes), heap_end), &block});
  }
  if (chunks.empty()) {
    result.top_bytes = attribution.end.heap_bytes;
    return result;
  }

  std::unordered_map<trace::StackId, Holder> holders;
  std::uint64_t highest = 0;
  for (const Chunk& chunk : chunks) highest = std::max(highest, chunk.end);
  PageShare share(holders, heap_start, highest);
  std::vector<std::uint64_t> gaps(chunks.size());
  std::uint64_t below = heap_start;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Chunk& chunk = chunks[i];
    const std::uint64_t gap = chunk.start > below ? chunk.start - below : 0;
    gaps[i] = gap;
    result.free_below_bytes += gap;
    if (gap > 0) {
      const std::uint64_t first = page_ceil(below + kTrimHeader), last = page_floor(chunk.start);
      if (last > first) result.trimmable_bytes += last - first;
    }
    share.chunk(chunk);
    below = std::max(below, chunk.end);
  }
  share.finish();
  result.top_bytes = heap_end - below;
  result.pinned_bytes = result.free_below_bytes - result.trimmable_bytes;

  for (std::size_t i = chunks.size(); i-- > 0 && result.pins.size() < kPins;) {
    if (i + 1 != chunks.size() && gaps[i] < kPinGap) continue;
    const std::uint64_t lower_end = chunks[i].start - gaps[i];
    result.pins.push_back({*chunks[i].block, gaps[i], below - lower_end});
  }
  for (const auto& [site, holder] : holders) result.holders.push_back(holder);
  std::sort(result.holders.begin(), result.holders.end(), [](const Holder& x, const Holder& y) {
    return x.held_bytes != y.held_bytes ? x.held_bytes > y.held_bytes : x.site < y.site;
  });
  return result;
}

}  // namespace faultline::analyze
