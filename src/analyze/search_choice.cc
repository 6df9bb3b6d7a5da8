#include "analyze/search_choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <tuple>

#include "analyze/search_text.h"

namespace faultline::analyze {
namespace {

constexpr double kLeastShareOfWall = 0.02;   // a saving below this share of the run is noise to its user
constexpr double kLeastMemoryGain = 0.10;    // of peak or end RSS, where nobody asked for memory
constexpr double kLeastAskedGain = 0.02;     // where somebody did
constexpr double kErrorUnknown = 0.05;       // where verify had nothing to compare with
constexpr double kEstimateFactor = 2;        // arena what-ifs are estimates: they must promise twice as much
constexpr double kSameCost = 0.01, kSameRss = 0.01;
constexpr double kOtherMustGain = 1.25;      // what changes the program, or costs what nobody priced, against what does not
constexpr std::uint64_t kRssStep = 64 * 1024;  // nobody chooses by less

double as_double(std::uint64_t value) { return static_cast<double>(value); }

double measure(Objective objective, const replay::Prediction& p) {
  switch (objective) {
    case Objective::peak_rss: return as_double(p.rss_peak_bytes);
    case Objective::end_rss: return as_double(p.rss_end_bytes);
    default: return p.cost_ns;
  }
}

double error_of(Objective objective, const ErrorBar& error) {
  switch (objective) {
    case Objective::peak_rss: return error.rss_peak_bytes;
    case Objective::end_rss: return error.rss_end_bytes;
    default: return error.cost_ns;
  }
}

bool allowed(Objective objective, const Candidate& c, const replay::Prediction& baseline, const replay::Program& program, const SearchOptions& options) {
  if (c.predicted.failed > baseline.failed) return false;
  if (objective == Objective::time) return !c.raises_peak;
  if (objective == Objective::end_rss && c.raises_peak) return false;
  return -c.saved_ns <= options.allowed_cost * as_double(program.wall_ns);
}

// Among equals: less of everything else, no change of the program, fewer settings, smaller values (a threshold that never
// bites on this run is no better than one that is just large enough).
using Secondary = std::tuple<bool, std::uint64_t, std::uint64_t, std::int64_t, bool, std::size_t, double>;
Secondary secondary(Objective objective, const Candidate& c, double cost_step) {
  const replay::Prediction& p = c.predicted;
  double sum = 0;
  std::size_t given = 0;
  for (const auto& [name, value] : c.setting) {
    if (value == kTakenAway) continue;
    sum += as_double(value);
    ++given;
  }
  // Whole MiB: a page more or less is not a reason to prefer anything.
  const auto cost = objective == Objective::time || cost_step <= 0 ? 0 : static_cast<std::int64_t>(p.cost_ns / cost_step);
  return {!c.what_if.unpriced.empty(), objective == Objective::peak_rss ? 0 : p.rss_peak_bytes >> 20, objective == Objective::end_rss ? 0 : p.rss_end_bytes >> 20, cost,
          c.what_if.changes_program(), given, sum};
}

// What a candidate comes to, in steps that matter.
using Steps = std::array<std::int64_t, 3>;
Steps steps_of(const replay::Prediction& p, double cost_step) {
  return {std::llround(p.cost_ns / cost_step), static_cast<std::int64_t>(p.rss_peak_bytes / kRssStep), static_cast<std::int64_t>(p.rss_end_bytes / kRssStep)};
}

bool dominates(const Steps& x, const Steps& y) {
  return x[0] <= y[0] && x[1] <= y[1] && x[2] <= y[2] && x != y;
}

// Half a per cent of what malloc costs now; of a program that costs nothing, a thousandth of a millisecond.
double cost_step(const Advice& advice) { return std::max(0.005 * advice.baseline().cost_ns, 1000.0); }

double least_gain(Objective objective, const Candidate& c, const Advice& advice, bool asked_for) {
  const double band = error_of(objective, c.error);
  double least = 0;
  if (objective == Objective::time) least = std::max(advice.needed_ns, band);
  else least = std::max((asked_for ? kLeastAskedGain : kLeastMemoryGain) * measure(objective, advice.baseline()), 2 * band);
  return c.what_if.arena_estimate ? kEstimateFactor * least : least;
}

std::string notes(const Candidate& c) {
  std::string note = c.what_if.arena_estimate ? "; " + arena_estimate_text() : std::string();
  for (const std::string& line : c.what_if.unpriced) note += "; " + line;
  return note;
}

}  // namespace

std::vector<std::size_t> best_for(Objective objective, const std::vector<Candidate>& candidates, const replay::Prediction& baseline,
                                  const replay::Program& program, const SearchOptions& options, std::size_t count) {
  const double step = std::max(kSameCost * baseline.cost_ns, 1000.0);
  std::vector<std::size_t> left(candidates.size()), picked;
  std::vector<char> permitted(candidates.size());
  std::vector<Secondary> seconds(candidates.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    left[i] = i;
    permitted[i] = allowed(objective, candidates[i], baseline, program, options);
    seconds[i] = secondary(objective, candidates[i], step);
  }
  // Sorted by the number alone; then, "within 1 %" being no order, picked one by one from those near the least.
  std::stable_sort(left.begin(), left.end(), [&](std::size_t x, std::size_t y) {
    if (permitted[x] != permitted[y]) return permitted[x] > permitted[y];
    return measure(objective, candidates[x].predicted) < measure(objective, candidates[y].predicted);
  });
  while (!left.empty() && picked.size() < count) {
    const double least = measure(objective, candidates[left.front()].predicted);
    const double near = objective == Objective::time ? step : kSameRss * least;  // 1 % of what it costs now
    auto top = left.begin();
    for (auto at = left.begin(); at != left.end() && permitted[*at] == permitted[left.front()] && measure(objective, candidates[*at].predicted) <= least + near; ++at)
      if (seconds[*at] < seconds[*top]) top = at;
    picked.push_back(*top);
    left.erase(top);
  }
  return picked;
}

void rank(Advice& advice, const replay::Program& program, const SearchOptions& options) {
  const Objective objective = options.objective == Objective::any ? Objective::time : options.objective;
  std::vector<Candidate> sorted;
  for (const std::size_t index : best_for(objective, advice.candidates, advice.baseline(), program, options, advice.candidates.size()))
    sorted.push_back(std::move(advice.candidates[index]));
  advice.candidates = std::move(sorted);
  const double step = cost_step(advice);
  std::vector<Steps> all, front;  // the first of those that come out the same stands for all of them
  for (const Candidate& candidate : advice.candidates) all.push_back(steps_of(candidate.predicted, step));
  for (std::size_t i = 0; i < all.size(); ++i) {
    const bool beaten = std::any_of(all.begin(), all.end(), [&](const Steps& other) { return dominates(other, all[i]); });
    const bool again = std::find(front.begin(), front.end(), all[i]) != front.end();
    advice.candidates[i].on_front = !beaten && !again;
    if (advice.candidates[i].on_front) front.push_back(all[i]);
  }
  if (advice.candidates.empty()) return;
  const Candidate& best = advice.candidates.front();
  for (Candidate& candidate : advice.candidates) {
    const double apart = measure(objective, candidate.predicted) - measure(objective, best.predicted);
    candidate.near_best = allowed(objective, candidate, advice.baseline(), program, options) &&
                          apart <= std::max(error_of(objective, best.error), objective == Objective::time ? kSameCost * advice.baseline().cost_ns : kSameRss * measure(objective, best.predicted));
  }
}

namespace {

// What only a price in time that no prediction holds, or a change of the program, can bring.
bool has_a_catch(const Candidate& c) { return c.what_if.trim.any() || !c.what_if.unpriced.empty(); }

// The best candidate for the objective whose gain is more than it must be; one with a catch only if it gains a good deal more
// than the best of the others, and never to save time.
std::optional<std::size_t> worthwhile(Objective objective, const Advice& advice, const replay::Program& program, const SearchOptions& options) {
  std::optional<std::size_t> plain, other;
  const double before = measure(objective, advice.baseline());
  const auto gain = [&](std::size_t i) { return before - measure(objective, advice.candidates[i].predicted); };
  for (const std::size_t i : best_for(objective, advice.candidates, advice.baseline(), program, options, advice.candidates.size())) {
    const Candidate& c = advice.candidates[i];
    if (!allowed(objective, c, advice.baseline(), program, options) || !c.what_if.assumptions.empty()) continue;
    if (objective == Objective::time && has_a_catch(c)) continue;
    if (options.objective == Objective::any && !c.what_if.unpriced.empty()) continue;  // who wants memory at any price says so
    if (gain(i) <= least_gain(objective, c, advice, options.objective != Objective::any)) continue;
    std::optional<std::size_t>& place = has_a_catch(c) ? other : plain;
    if (!place) place = i;
  }
  if (other && (!plain || gain(*other) > kOtherMustGain * gain(*plain))) return other;
  return plain;
}

std::string why(Objective objective, const Candidate& c, const Advice& advice) {
  const replay::Prediction& base = advice.baseline();
  if (objective == Objective::time) {
    return fmt::format("saves {:.1f} ms of {:.1f} ms spent on faults and memory calls (±{:.1f} ms){}", c.saved_ns / 1e6, base.cost_ns / 1e6, c.error.cost_ns / 1e6, notes(c));
  }
  const bool peak = objective == Objective::peak_rss;
  const double before = measure(objective, base), after = measure(objective, c.predicted);
  return fmt::format("lowers {} by {:.0f} %, {} to {} (±{}), for {:.1f} ms{}", peak ? "peak RSS" : "RSS at exit", 100 * (before - after) / before,
                     bytes_text(static_cast<std::uint64_t>(before)), bytes_text(static_cast<std::uint64_t>(after)),
                     bytes_text(static_cast<std::uint64_t>(error_of(objective, c.error))), std::max(0.0, -c.saved_ns) / 1e6, notes(c));
}

std::string why_none(const Advice& advice, const replay::Program& program, const SearchOptions& options) {
  const Objective objective = options.objective == Objective::any ? Objective::time : options.objective;
  const bool time = objective == Objective::time;
  const auto gain = [&](const Candidate& c) { return std::max(0.0, measure(objective, advice.baseline()) - measure(objective, c.predicted)); };
  const Candidate* best = nullptr;      // of those that could have been recommended
  const Candidate* with_catch = nullptr;
  bool with_memory = false;
  for (const std::size_t i : best_for(objective, advice.candidates, advice.baseline(), program, options, advice.candidates.size())) {
    const Candidate& c = advice.candidates[i];
    const bool much = gain(c) > least_gain(objective, c, advice, true);
    if (!allowed(objective, c, advice.baseline(), program, options)) {
      with_memory = with_memory || (time && c.raises_peak && much && !has_a_catch(c));
    } else if (!c.what_if.assumptions.empty() || (time && has_a_catch(c))) {
      if (with_catch == nullptr && much) with_catch = &c;
    } else if (best == nullptr) {
      best = &c;
    }
  }
  if (with_memory) return fmt::format("no setting helps without more memory; the faster ones listed raise peak RSS by more than {:.0f} % and {} (--allow-rss accepts that)", 100 * options.allowed_peak_growth, bytes_text(SearchOptions::kAllowedBytes));
  const double most = best == nullptr ? 0 : gain(*best), needed = best == nullptr ? advice.needed_ns : least_gain(objective, *best, advice, true);
  std::string text = time ? fmt::format("no setting helps: the best saves {:.1f} ms, and a saving below {:.1f} ms (2 % of the run, or the error bar) is not advice", most / 1e6, needed / 1e6)
                          : fmt::format("no setting helps: the best lowers {} by {}, and less than {} is within the error or not worth a setting", objective == Objective::peak_rss ? "peak RSS" : "RSS at exit",
                                        bytes_text(static_cast<std::uint64_t>(most)), bytes_text(static_cast<std::uint64_t>(needed)));
  if (with_catch != nullptr) text += "; those listed that gain more cost time that is not priced, or rest on what the recording does not tell";
  return text;
}

}  // namespace

void recommend(Advice& advice, const replay::Program& program, const SearchOptions& options) {
  const double error = advice.verification.fault_error().value_or(kErrorUnknown);
  advice.needed_ns = std::max(kLeastShareOfWall * as_double(program.wall_ns), error * advice.baseline().cost_ns);
  if (advice.candidates.empty()) {
    advice.reason = "no candidate could be replayed in the time given";
    return;
  }
  const std::array all{Objective::time, Objective::peak_rss, Objective::end_rss};
  for (const Objective objective : all) {
    if (options.objective != Objective::any && options.objective != objective) continue;
    advice.recommended = worthwhile(objective, advice, program, options);
    if (!advice.recommended) continue;
    advice.gain = objective;
    advice.reason = why(objective, advice.candidates[*advice.recommended], advice);
    if (options.objective == Objective::any && objective != Objective::time) advice.reason = "no time to save; " + advice.reason;
    return;
  }
  advice.reason = why_none(advice, program, options);
}

}  // namespace faultline::analyze
