#include "analyze/curves/lru_curve.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace faultline::analyze {
namespace {

constexpr std::size_t kAhead = 16;

}  // namespace

void LruDepths::feed(const PageBatch& batch, mm::PageId pages) {
  stack_.reach(pages);
  const std::size_t count = batch.pages.size();
  const auto block = [&](std::size_t from) { return batch.pages.subspan(std::min(from, count), std::min(kAhead, count - std::min(from, count))); };
  for (std::size_t start = 0; start < count; start += kAhead) {
    std::array<std::uint64_t, kAhead> found;
    std::size_t hits = 0;
    stack_.prefetch(block(start + 2 * kAhead), block(start + kAhead));
    for (std::size_t i = start; i < std::min(start + kAhead, count); ++i) {
      if (batch.events[i] == PageEvent::gone) [[unlikely]] {
        stack_.take_away(batch.pages[i]);
        continue;
      }
      ++references_;
      const std::uint64_t depth = stack_.touch(batch.pages[i]);
      if (depth == LruStack::kAbsent) {
        ++absent_;
        continue;
      }
      if (depth >= hits_.size()) hits_.resize(depth + depth / 2 + 64, 0);
      __builtin_prefetch(&hits_[depth], 1);
      found[hits++] = depth;
    }
    // Counted only here: a depth's counter is in no cache, and is on its way while the block goes on.
    for (std::size_t i = 0; i < hits; ++i) ++hits_[found[i]];
  }
}

Result<MissCurve> lru_curve(PageStream& stream) { return shards_curve(stream, 1.0); }

Result<MissCurve> shards_curve(PageStream& stream, double rate) {
  LruDepths depths;
  for (;;) {
    FL_TRY(const PageBatch batch, stream.next());
    if (batch.pages.empty()) break;
    depths.feed(batch, stream.pages());
  }
  const bool exact = rate >= 1;
  const double scale = exact ? 1 : 1 / rate;
  const double all = static_cast<double>(stream.references());
  // All references that are not hits: those in the sample, scaled; what the sample lacks of its share counts as hits.
  double misses = static_cast<double>(depths.references()) * scale;
  std::vector<MissPoint> points;
  for (std::size_t depth = 1; depth < depths.hits().size(); ++depth) {
    if (depths.hits()[depth] == 0) continue;
    misses -= static_cast<double>(depths.hits()[depth]) * scale;
    const auto frames = static_cast<std::uint64_t>(std::llround(static_cast<double>(depth) * scale));
    points.push_back({frames, std::clamp(misses, 0.0, all)});
  }
  return MissCurve(stream.references(), std::move(points), exact);
}

}  // namespace faultline::analyze
