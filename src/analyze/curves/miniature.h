// Miniature simulation: any policy at any size from a sample of the pages: a memory of S frames is simulated by one of R S frames that
// sees only the references to a share R of the pages. Source: C. Waldspurger, T. Saemundsson, I. Ahmad, N. Park, "Cache modeling and
// optimization using miniature simulations", USENIX ATC 2017, with the adjustment of SHARDS for the references the sample lacks.
#pragma once

#include <cstdint>
#include <span>

#include "analyze/curves/miss_curve.h"
#include "analyze/curves/page_stream.h"
#include "mm/reclaim/policy.h"

namespace faultline::analyze {

// `stream` gives the sampled pages. `frames` by rising size; sizes whose miniature has no frame are an error. With a sample of all
// pages it is the simulation itself, of all sizes in one pass.
Result<MissCurve> policy_curve(const mm::PolicyDescriptor& policy, PageStream& stream, std::span<const std::uint64_t> frames,
                               const mm::PolicyConfig& config = {});

}  // namespace faultline::analyze
