#include "analyze/placements.h"

#include <algorithm>
#include <cmath>

#include "base/units.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kPlaces = 9;  // within a huge page; odd, so that one of them is in the middle

double apart(std::uint64_t x, std::uint64_t y) { return std::abs(static_cast<double>(x) - static_cast<double>(y)); }

bool place_matters(const replay::Program& program, const WhatIf& question) {
  return question.huge_pages && program.heap_randomised && question.parameters.thp_madvise_bytes != 0;
}

}  // namespace

std::optional<replay::Prediction> predict(const replay::Program& program, const WhatIf& question, replay::ReplayPlan plan, std::vector<heap::OutcomeBox>* boxes) {
  const std::uint64_t places = place_matters(program, question) ? kPlaces : 1, huge = question.parameters.thp_madvise_bytes;
  plan.trim = question.trim;
  plan.without_mallopt = question.without_mallopt;
  std::vector<replay::Prediction> of_places;
  for (std::uint64_t i = 0; i < places; ++i) {
    plan.heap_moved = page_floor(i * huge / kPlaces);
    plan.mappings_moved = page_floor(i * 4 % kPlaces * huge / kPlaces);  // the mapping area's place is drawn on its own
    heap::OutcomeBox box;
    if (boxes != nullptr) plan.box = &box;
    const std::optional<replay::Prediction> predicted = replay::replay(program, question.parameters, plan);
    if (boxes != nullptr) boxes->push_back(box);
    if (!predicted) return std::nullopt;
    of_places.push_back(*predicted);
  }
  const auto middle = of_places.begin() + static_cast<std::ptrdiff_t>(of_places.size() / 2);
  std::nth_element(of_places.begin(), middle, of_places.end(), [](const auto& x, const auto& y) { return x.minor_faults() < y.minor_faults(); });
  replay::Prediction result = *middle;
  for (const replay::Prediction& other : of_places) {
    replay::Prediction::Spread& spread = result.of_placement;
    spread.minor_faults = std::max(spread.minor_faults, apart(other.minor_faults(), middle->minor_faults()));
    spread.cost_ns = std::max(spread.cost_ns, std::abs(other.cost_ns - middle->cost_ns));
    spread.rss_peak_bytes = std::max(spread.rss_peak_bytes, apart(other.rss_peak_bytes, middle->rss_peak_bytes));
    spread.rss_end_bytes = std::max(spread.rss_end_bytes, apart(other.rss_end_bytes, middle->rss_end_bytes));
  }
  return result;
}

}  // namespace faultline::analyze
