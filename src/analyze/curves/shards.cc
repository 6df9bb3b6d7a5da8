#include "analyze/curves/shards.h"

#include <algorithm>
#include <cmath>

namespace faultline::analyze {

void FixedSizeShards::feed(const PageBatch& batch, PageStream& stream) {
  stack_.reach(stream.pages());
  sample_ = stream.sample();
  for (std::size_t i = 0; i < batch.pages.size(); ++i) {
    if (batch.events[i] == PageEvent::gone) stack_.take_away(batch.pages[i]);
    else touch(batch.pages[i], stream.hash_in_sample(batch.pages[i]));
  }
  stream.narrow(sample_.below);
}

void FixedSizeShards::touch(mm::PageId page, std::uint64_t hash) {
  if (hash >= sample_.below) return;
  // A reference counts as many as its page stands for now: one over the rate.
  const double weight = 1 / sample_.rate();
  references_ += weight;
  const std::uint64_t depth = stack_.touch(page);
  if (depth != LruStack::kAbsent) {
    hits_[bucket(static_cast<double>(depth) * weight)] += weight;
    return;
  }
  if (page >= known_.size()) known_.resize(page + page / 2 + 64, false);
  if (known_[page]) return;  // it was given back and is new again
  known_[page] = true;
  pages_.emplace(hash, page);
  while (pages_.size() > pages_most_) {
    sample_.below = pages_.top().first;
    stack_.erase(pages_.top().second);
    pages_.pop();
  }
}

std::size_t FixedSizeShards::bucket(double depth) {
  int exponent = 0;
  const double fraction = std::frexp(depth, &exponent);  // in [1/2, 1)
  const auto step = static_cast<std::size_t>((fraction - 0.5) * 2 * static_cast<double>(kSteps));
  return static_cast<std::size_t>(std::max(exponent, 0)) * kSteps + step;
}

double FixedSizeShards::lowest_depth(std::size_t bucket) {
  const double fraction = 0.5 + static_cast<double>(bucket % kSteps) / (2 * static_cast<double>(kSteps));
  return std::ldexp(fraction, static_cast<int>(bucket / kSteps));
}

MissCurve FixedSizeShards::curve(std::uint64_t references) const {
  double misses = references_;
  std::vector<MissPoint> points;
  for (std::size_t at = 0; at < hits_.size(); ++at) {
    if (hits_[at] == 0) continue;
    misses -= hits_[at];
    const auto frames = static_cast<std::uint64_t>(std::llround(lowest_depth(at)));
    const double bounded = std::clamp(misses, 0.0, static_cast<double>(references));
    if (!points.empty() && points.back().frames == frames) points.back().misses = bounded;
    else points.push_back({frames, bounded});
  }
  return MissCurve(references, std::move(points), false);
}

Result<MissCurve> fixed_size_shards_curve(PageStream& stream, std::uint64_t pages_most) {
  FixedSizeShards shards(pages_most);
  for (;;) {
    FL_TRY(const PageBatch batch, stream.next());
    if (batch.pages.empty()) break;
    shards.feed(batch, stream);
  }
  return shards.curve(stream.references());
}

}  // namespace faultline::analyze
