// SHARDS with a fixed number of pages instead of a fixed rate: the rate falls as pages appear, so that memory is bounded whatever the
// stream does. Source: Waldspurger et al., FAST 2015, section 3.2, with SHARDS-adj. The table of page numbers keeps every page that
// was ever in the sample, which is about s_max (1 + ln(pages / s_max)).
#pragma once

#include <cstdint>
#include <queue>
#include <utility>
#include <vector>

#include "analyze/curves/lru_stack.h"
#include "analyze/curves/miss_curve.h"
#include "analyze/curves/page_stream.h"

namespace faultline::analyze {

class FixedSizeShards {
 public:
  explicit FixedSizeShards(std::uint64_t pages_most) : pages_most_(pages_most), hits_(64 * kSteps, 0.0) {}

  // The events of a sampled stream; narrows it where its sample outgrew the bound.
  void feed(const PageBatch& batch, PageStream& stream);
  MissCurve curve(std::uint64_t references) const;

 private:
  static constexpr std::size_t kSteps = 512;  // buckets for each doubling of the depth
  static std::size_t bucket(double depth);
  static double lowest_depth(std::size_t bucket);

  void touch(mm::PageId page, std::uint64_t hash);

  std::uint64_t pages_most_;
  PageSample sample_;
  LruStack stack_;
  std::priority_queue<std::pair<std::uint64_t, mm::PageId>> pages_;  // by hash: the next to leave the sample first
  std::vector<bool> known_;  // pages that are, or were, in pages_
  std::vector<double> hits_;  // each weighed by the rate of its time, which is what rescaling all of them at each fall comes to
  double references_ = 0;     // likewise
};

// `stream` starts with a sample of nearly all pages (kNearlyAll), or of as many as one dares.
inline constexpr PageSample kNearlyAll{PageSample::kAll - 1};
Result<MissCurve> fixed_size_shards_curve(PageStream& stream, std::uint64_t pages_most);

}  // namespace faultline::analyze
