// The exact LRU curve of all sizes in one pass, and its estimate from a sample of the pages (SHARDS).
#pragma once

#include <cstdint>
#include <vector>

#include "analyze/curves/lru_stack.h"
#include "analyze/curves/miss_curve.h"
#include "analyze/curves/page_stream.h"

namespace faultline::analyze {

// How often LRU finds its pages at which depth.
class LruDepths {
 public:
  void feed(const PageBatch& batch, mm::PageId pages);
  // hits()[d]: references that found their page at depth d; 0 is unused.
  const std::pmr::vector<std::uint64_t>& hits() const { return hits_; }
  std::uint64_t references() const { return references_; }
  std::uint64_t absent() const { return absent_; }
  void check_invariants() const { stack_.check_invariants(); }

 private:
  LruStack stack_;
  std::pmr::vector<std::uint64_t> hits_{1, 0, huge_memory()};
  std::uint64_t references_ = 0, absent_ = 0;
};

// A point for every size at which the misses change.
Result<MissCurve> lru_curve(PageStream& stream);

// SHARDS at a fixed rate: C. A. Waldspurger, N. Park, A. Garthwaite, I. Ahmad, "Efficient MRC construction with SHARDS", FAST 2015,
// with its adjustment (SHARDS-adj): references missing from the sample, or too many, are those of the hottest pages and count as hits
// at the smallest depth. `stream` gives the sampled pages; `rate` is the sample's.
Result<MissCurve> shards_curve(PageStream& stream, double rate);

}  // namespace faultline::analyze
