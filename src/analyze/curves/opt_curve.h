// OptDepths: OPT for all sizes in one pass over its priority stack. Source: Mattson et al. 1970: the stack holds pages such that every
// memory of n frames has the n topmost; a reference pushes down the page used again later, level by level. That walk is as deep as the
// page was, so it is for streams whose product of references and mean depth can be paid (10^10 steps are some ten seconds); beyond,
// policy_curve() with policy "opt" gives chosen sizes, exactly or from a sample.
#pragma once

#include <cstdint>
#include <vector>

#include "analyze/curves/miss_curve.h"
#include "analyze/curves/page_stream.h"

namespace faultline::analyze {

class OptDepths {
 public:
  static constexpr std::uint64_t kAbsent = ~std::uint64_t{0};
  // The depth the page was at, 1 on top; it is on top now, and used next at `next_use` (NextUses::kNever for never).
  std::uint64_t touch(mm::PageId page, std::uint32_t next_use);
  // Its contents are gone: a hole, which whatever is pushed down fills.
  void take_away(mm::PageId page);
  // Steps walked so far.
  std::uint64_t steps() const { return steps_; }

 private:
  struct Entry {
    std::uint64_t next_use;
    mm::PageId page;  // kNoPage: a hole
  };
  std::vector<Entry> stack_;
  std::uint64_t steps_ = 0;
};

// Reads the stream twice. An error when it would take more than `most_steps`.
Result<MissCurve> opt_curve(PageStream& stream, std::uint64_t most_steps = 50'000'000'000);

}  // namespace faultline::analyze
