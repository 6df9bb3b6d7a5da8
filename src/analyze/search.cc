#include "analyze/search.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <mutex>
#include <set>
#include <thread>

#include "analyze/search_candidates.h"
#include "replay/replayer.h"

namespace faultline::analyze {
namespace {

using replay::Placement;
using replay::Prediction;

constexpr double kLeastShareOfWall = 0.02;    // a saving below this share of the run is noise to its user
constexpr double kLeastMemoryGain = 0.10;     // of peak or end RSS
constexpr std::size_t kRounds = 3;            // of refinement
constexpr std::size_t kRefined = 3;           // candidates refined per round

struct Tried {
  Setting setting;
  Candidate candidate;
};

class Search {
 public:
  Search(const replay::Program& program, const SearchOptions& options)
      : program_(program), options_(options), start_(std::chrono::steady_clock::now()) {}

  Advice run() {
    advice_.verification = replay::verify(program_);
    if (!advice_.verification.holds() && !options_.force) {
      advice_.reason = fmt::format("verify failed ({}): the twin does not reproduce this run, so its predictions are not advice",
                                   failure(advice_.verification));
      return std::move(advice_);
    }
    const SizeProfile profile = size_profile(program_);
    evaluate(first_settings(profile));
    for (std::size_t round = 0; round < kRounds && in_time(); ++round) {
      std::vector<Setting> next;
      for (std::size_t index : best(kRefined)) {
        const auto around = neighbours(tried_[index].setting);
        next.insert(next.end(), around.begin(), around.end());
      }
      if (!evaluate(next)) break;
    }
    if (in_time()) {
      std::vector<Setting> next = with_caches({}, profile);
      for (std::size_t index : best(1)) {
        const auto more = with_caches(tried_[index].setting, profile);
        next.insert(next.end(), more.begin(), more.end());
      }
      evaluate(next);
    }
    rank();
    recommend();
    return std::move(advice_);
  }

 private:
  const replay::Program& program_;
  const SearchOptions& options_;
  const std::chrono::steady_clock::time_point start_;
  Advice advice_;
  std::vector<Tried> tried_;
  std::set<Setting> known_;

  const Prediction& baseline() const { return advice_.verification.prediction; }

  bool in_time() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count() < options_.seconds;
  }

  static std::string failure(const replay::Verification& v) {
    if (!v.addresses_equal()) return fmt::format("{} of {} addresses equal", v.addresses_matched, v.addresses_total);
    if (!v.calls_equal()) return fmt::format("{} of {} system calls equal", v.calls_matched, v.calls_total);
    if (!v.faults_within()) return fmt::format("minor faults off by {:.1f} %", 100 * *v.fault_error());
    return fmt::format("peak RSS off by {:.1f} %", 100 * *v.rss_error());
  }

  // True if there was anything new to try. Replays are independent: workers take the next one until none is left.
  bool evaluate(const std::vector<Setting>& settings) {
    std::vector<Tried> fresh;
    for (const Setting& setting : settings)
      if (known_.insert(setting).second) fresh.push_back({.setting = setting, .candidate = {}});
    if (fresh.empty()) return false;
    std::atomic<std::size_t> next{0};
    std::size_t done = 0;
    std::vector<char> replayed(fresh.size(), 0);
    std::mutex reporting;
    auto work = [&] {
      for (std::size_t i = next++; i < fresh.size() && in_time(); i = next++) {
        Candidate& candidate = fresh[i].candidate;
        candidate.settings = assignments(fresh[i].setting);
        auto parameters = with_settings(program_, candidate.settings);
        if (!parameters) continue;
        candidate.tunables = parameters->tunables;
        candidate.predicted = replay::replay(program_, *parameters, Placement::own);
        candidate.saved_ns = baseline().cost_ns - candidate.predicted.cost_ns;
        replayed[i] = 1;
        const std::lock_guard lock(reporting);
        ++done;
        if (options_.progress) options_.progress(advice_.replays + done, advice_.replays + fresh.size());
      }
    };
    std::vector<std::thread> workers;
    for (unsigned i = 1; i < options_.workers; ++i) workers.emplace_back(work);
    work();
    for (std::thread& worker : workers) worker.join();
    for (std::size_t i = 0; i < fresh.size(); ++i) {
      if (!replayed[i]) continue;
      Candidate& candidate = fresh[i].candidate;
      candidate.raises_peak = static_cast<double>(candidate.predicted.rss_peak_bytes) >
                              (1 + options_.allowed_peak_growth) * static_cast<double>(baseline().rss_peak_bytes);
      tried_.push_back(std::move(fresh[i]));
    }
    advice_.replays += done;
    return done > 0;
  }

  // Cost first; among equals less memory, then fewer settings, then smaller values (a threshold that never bites on
  // this run is no better than the one that is just large enough).
  static bool better(const Tried& x, const Tried& y) {
    const Candidate &a = x.candidate, &b = y.candidate;
    if (a.raises_peak != b.raises_peak) return b.raises_peak;
    if (a.predicted.failed != b.predicted.failed) return a.predicted.failed < b.predicted.failed;
    const double near = 0.01 * std::max(a.predicted.cost_ns, b.predicted.cost_ns);
    if (std::abs(a.predicted.cost_ns - b.predicted.cost_ns) > near) return a.predicted.cost_ns < b.predicted.cost_ns;
    return secondary(x) < secondary(y);
  }
  static std::tuple<std::uint64_t, std::uint64_t, std::size_t, double> secondary(const Tried& t) {
    const Prediction& p = t.candidate.predicted;
    double sum = 0;
    for (const auto& [name, value] : t.setting) sum += static_cast<double>(value);
    // Whole MiB: a page more or less is not a reason to prefer anything.
    return {p.rss_peak_bytes >> 20, p.rss_end_bytes >> 20, t.setting.size(), sum};
  }

  // "Within 1 %" is no strict weak order, so the best are picked one by one instead of sorted.
  std::vector<std::size_t> best(std::size_t count) const {
    std::vector<std::size_t> left(tried_.size()), picked;
    for (std::size_t i = 0; i < left.size(); ++i) left[i] = i;
    while (!left.empty() && picked.size() < count) {
      auto top = left.begin();
      double least = std::numeric_limits<double>::max();
      for (auto at = left.begin(); at != left.end(); ++at) {
        const Candidate& c = tried_[*at].candidate;
        const double cost = c.predicted.cost_ns + (c.raises_peak ? 1e18 : 0);
        if (cost < least) least = cost, top = at;
      }
      for (auto at = left.begin(); at != left.end(); ++at)
        if (better(tried_[*at], tried_[*top]) && tried_[*at].candidate.predicted.cost_ns <= least * 1.01) top = at;
      picked.push_back(*top);
      left.erase(top);
    }
    return picked;
  }

  static bool dominates(const Prediction& a, const Prediction& b) {
    const bool no_worse = a.cost_ns <= b.cost_ns && a.rss_peak_bytes <= b.rss_peak_bytes && a.rss_end_bytes <= b.rss_end_bytes;
    return no_worse && (a.cost_ns < b.cost_ns || a.rss_peak_bytes < b.rss_peak_bytes || a.rss_end_bytes < b.rss_end_bytes);
  }

  void rank() {
    for (std::size_t index : best(tried_.size())) advice_.candidates.push_back(std::move(tried_[index].candidate));
    // The best of those that predict the same stands for all of them.
    std::set<std::tuple<std::uint64_t, std::uint64_t, std::uint64_t>> seen;
    for (Candidate& candidate : advice_.candidates) {
      const Prediction& p = candidate.predicted;
      if (!seen.emplace(p.minor_faults() + p.calls.total(), p.rss_peak_bytes >> 20, p.rss_end_bytes >> 20).second) continue;
      candidate.on_front = std::none_of(advice_.candidates.begin(), advice_.candidates.end(), [&](const Candidate& other) {
        return dominates(other.predicted, candidate.predicted);
      });
    }
  }

  void recommend() {
    const double error = advice_.verification.fault_error().value_or(0);
    advice_.needed_ns = std::max(kLeastShareOfWall * static_cast<double>(program_.wall_ns), error * baseline().cost_ns);
    if (advice_.candidates.empty()) {
      advice_.reason = "no candidate could be replayed in the time given";
      return;
    }
    const Candidate& first = advice_.candidates.front();
    if (!first.raises_peak && first.saved_ns > advice_.needed_ns) {
      advice_.recommended = 0;
      advice_.gain = Gain::time;
      advice_.reason = fmt::format("saves {:.1f} ms of {:.1f} ms spent on faults and memory calls", first.saved_ns / 1e6,
                                   baseline().cost_ns / 1e6);
      return;
    }
    if (recommend_memory()) return;
    advice_.reason = fmt::format("no setting helps: the best saves {:.1f} ms, and a saving below {:.1f} ms (2 % of the run, or the error bar) is not advice",
                                 std::max(0.0, first.saved_ns) / 1e6, advice_.needed_ns / 1e6);
    const auto faster = std::find_if(advice_.candidates.begin(), advice_.candidates.end(), [&](const Candidate& c) {
      return c.raises_peak && c.saved_ns > advice_.needed_ns;
    });
    if (faster != advice_.candidates.end())
      advice_.reason = "no setting helps without more memory; the faster ones listed raise peak RSS (--allow-rss accepts that)";
  }

  // Time has nothing to give: is there memory to get back for (almost) nothing?
  bool recommend_memory() {
    const double error = advice_.verification.rss_error().value_or(0);
    const double least = std::max(kLeastMemoryGain, 2 * error);
    double most = least;
    for (std::size_t i = 0; i < advice_.candidates.size(); ++i) {
      const Candidate& candidate = advice_.candidates[i];
      if (candidate.predicted.failed != 0 || -candidate.saved_ns > kLeastShareOfWall * static_cast<double>(program_.wall_ns)) continue;
      const double share = gain(baseline().rss_peak_bytes, candidate.predicted.rss_peak_bytes);
      if (share > most) {
        most = share;
        advice_.recommended = i;
      }
    }
    if (!advice_.recommended) return false;
    advice_.gain = Gain::memory;
    const Candidate& chosen = advice_.candidates[*advice_.recommended];
    advice_.reason = fmt::format("no time to save; lowers peak RSS by {:.0f} % for {:.1f} ms", 100 * most,
                                 std::max(0.0, -chosen.saved_ns) / 1e6);
    return true;
  }
  static double gain(std::uint64_t before, std::uint64_t after) {
    return before <= after ? 0 : static_cast<double>(before - after) / static_cast<double>(before);
  }
};

}  // namespace

Advice search(const replay::Program& program, const SearchOptions& options) { return Search(program, options).run(); }

Result<heap::Parameters> with_settings(const replay::Program& program, const std::vector<std::string>& settings) {
  heap::Parameters parameters = replay::recorded_parameters(program);
  for (const std::string& setting : settings) FL_CHECK(parameters.tunables.set(setting));
  const heap::Tunables& tunables = parameters.tunables;
  const heap::Tunables recorded = replay::recorded_parameters(program).tunables;
  if (tunables.hugetlb.value_or(0) != recorded.hugetlb.value_or(0) && tunables.hugetlb.value_or(0) >= 2) {
    return fail(make_error("hugetlb={}: explicit huge pages are not modelled yet, so there is no prediction", tunables.hugetlb.value_or(0)));
  }
  return parameters;
}

}  // namespace faultline::analyze
