// Which candidate is best for what, which form the front, and whether any is worth recommending.
#pragma once

#include <optional>
#include <vector>

#include "analyze/search.h"

namespace faultline::analyze {

// Sorted, best first for the objective; on_front and near_best are set.
void rank(Advice& advice, const replay::Program& program, const SearchOptions& options);

// Fills recommended, gain and reason of a ranked advice.
void recommend(Advice& advice, const replay::Program& program, const SearchOptions& options);

// The indices of the best `count` for one objective, best first; those it does not allow come last.
std::vector<std::size_t> best_for(Objective objective, const std::vector<Candidate>& candidates, const replay::Prediction& baseline,
                                  const replay::Program& program, const SearchOptions& options, std::size_t count);

}  // namespace faultline::analyze
