#include "analyze/limits/limit_study.h"

#include <fmt/format.h>

#include <algorithm>

#include "analyze/curves/miniature.h"
#include "analyze/curves/miss_curve.h"
#include "analyze/curves/page_stream.h"
#include "mm/reclaim/policy.h"

namespace faultline::analyze {

namespace {

constexpr std::uint64_t kMiB = 1u << 20;
constexpr int kRows = 10;
constexpr int kBisections = 8;
constexpr std::uint64_t kSampleAbove = 20'000'000;  // references; longer streams are sampled for the yardsticks

const std::vector<std::string> kYardsticks = {"opt", "lru", "clock", "arc", "lirs", "s3-fifo", "sieve"};

class Study {
 public:
  Study(trace::ReferenceSource& source, const LimitQuestion& question, const std::function<void(double)>& progress)
      : source_(source), question_(question), progress_(progress) {}

  Result<LimitStudy> run() {
    FL_CHECK(look_without_limit());
    const std::vector<std::uint64_t> limits = chosen_limits();
    const double steps = static_cast<double>(limits.size()) + kBisections + 3;
    for (const std::uint64_t limit : limits) {
      FL_CHECK(look_at(limit));
      report(static_cast<double>(study_.rows.size()) / steps);
    }
    find_knee();
    FL_CHECK(find_safe_limit());
    report((static_cast<double>(limits.size()) + kBisections) / steps);
    FL_CHECK(compare_policies());
    report(1);
    assume();
    return std::move(study_);
  }

 private:
  void report(double share) const {
    if (progress_) progress_(share);
  }

  Result<replay::LimitOutcome> outcome_at(std::uint64_t limit_bytes) {
    replay::LimitSettings settings = question_.settings;
    settings.limit_pages = limit_bytes == 0 ? mm::MemoryLimit::kNone : limit_bytes / kPageSize;
    return replay::replay_limited(source_, settings);
  }

  Result<void> look_without_limit() {
    FL_TRY(study_.unlimited, outcome_at(0));
    study_.peak_bytes = study_.unlimited.peak_pages * kPageSize;
    study_.references = study_.unlimited.references + source_.dropped();
    if (study_.unlimited.references == 0) return fail(make_error("the stream holds no references to memory: nothing to limit"));
    return {};
  }

  // Falling; whole MiB where the program is larger than that.
  std::vector<std::uint64_t> chosen_limits() const {
    std::vector<std::uint64_t> limits = question_.limits_bytes;
    if (limits.empty()) {
      const std::uint64_t unit = study_.peak_bytes >= 32 * kMiB ? kMiB : kPageSize;
      for (int i = kRows; i >= 1; --i) limits.push_back(std::max(study_.peak_bytes * static_cast<std::uint64_t>(i) / kRows / unit * unit, unit));
    }
    std::sort(limits.rbegin(), limits.rend());
    limits.erase(std::unique(limits.begin(), limits.end()), limits.end());
    return limits;
  }

  double slowdown_of(const replay::LimitOutcome& outcome) const {
    const auto base = static_cast<double>(study_.unlimited.time_ns);
    return base == 0 ? 0 : (static_cast<double>(outcome.time_ns) - base) / base;
  }

  Result<void> look_at(std::uint64_t limit) {
    FL_TRY(replay::LimitOutcome outcome, outcome_at(limit));
    if (outcome.out_of_memory) study_.killed_below_bytes = std::max(study_.killed_below_bytes.value_or(0), limit);
    const double slowdown = slowdown_of(outcome);
    study_.rows.push_back({limit, std::move(outcome), slowdown});
    return {};
  }

  bool safe(const replay::LimitOutcome& outcome) const { return !outcome.out_of_memory && slowdown_of(outcome) <= question_.slowdown; }

  // Between the smallest safe row and the next smaller one, by halves.
  Result<void> find_safe_limit() {
    std::uint64_t good = study_.peak_bytes, bad = 0;
    for (const LimitRow& row : study_.rows) {
      if (!safe(row.outcome)) {
        bad = row.limit_bytes;
        break;
      }
      good = std::min(good, row.limit_bytes);
    }
    for (int i = 0; i < kBisections && good - bad > std::max(kPageSize, study_.peak_bytes / 256); ++i) {
      const std::uint64_t middle = (bad + (good - bad) / 2) / kPageSize * kPageSize;
      if (middle <= bad || middle == 0) break;
      FL_TRY(const replay::LimitOutcome outcome, outcome_at(middle));
      (safe(outcome) ? good : bad) = middle;
    }
    study_.safe_bytes = good;
    study_.safe_step_bytes = good - bad;
    return {};
  }

  void find_knee() {
    std::vector<MissPoint> points;
    for (auto row = study_.rows.rbegin(); row != study_.rows.rend(); ++row) {
      if (!row->outcome.out_of_memory) points.push_back({row->limit_bytes / kPageSize, static_cast<double>(row->outcome.major_faults)});
    }
    if (points.size() < 3 || points.front().misses == points.back().misses) return;
    const MissCurve curve(static_cast<std::uint64_t>(points.front().misses), points, true);
    if (const auto knee = curve.knee()) study_.knee_bytes = knee->frames * kPageSize;
  }

  Result<void> compare_policies() {
    std::vector<std::string> names = question_.policies;
    if (names.empty()) {
      names = kYardsticks;
      if (std::find(names.begin(), names.end(), question_.settings.policy) == names.end()) names.insert(names.begin() + 1, question_.settings.policy);
    }
    if (names == std::vector<std::string>{"none"} || study_.rows.empty()) return {};
    study_.sampled_rate = std::min(1.0, static_cast<double>(kSampleAbove) / static_cast<double>(study_.unlimited.references));
    std::vector<std::uint64_t> frames;
    for (auto row = study_.rows.rbegin(); row != study_.rows.rend(); ++row) frames.push_back(std::max<std::uint64_t>(row->limit_bytes / kPageSize, 1));
    for (const std::string& name : names) {
      const mm::PolicyDescriptor* const policy = mm::find_policy(name);
      if (policy == nullptr) return fail(make_error("{}: wanted one of the policies, see --help", name));
      FL_CHECK(source_.rewind());
      ReferencePages pages(source_, PageSample::at_rate(study_.sampled_rate));
      FL_TRY(const MissCurve curve, policy_curve(*policy, pages, frames));
      PolicyMisses found{name, policy->sees >= mm::Sees::every_access, {}, {}};
      for (const LimitRow& row : study_.rows) {
        found.misses.push_back(static_cast<std::uint64_t>(curve.misses(std::max<std::uint64_t>(row.limit_bytes / kPageSize, 1))));
      }
      study_.policies.push_back(std::move(found));
    }
    find_regret();
    return {};
  }

  // Both are misses of single pages: what read-ahead and batches save or cost is in neither.
  void find_regret() {
    const auto opt = std::find_if(study_.policies.begin(), study_.policies.end(), [](const PolicyMisses& one) { return one.name == "opt"; });
    if (opt == study_.policies.end()) return;
    const std::vector<std::uint64_t> least = opt->misses;
    for (PolicyMisses& policy : study_.policies) {
      for (std::size_t i = 0; i < least.size(); ++i) {
        policy.regret.push_back(least[i] == 0 ? 0 : (static_cast<double>(policy.misses[i]) - static_cast<double>(least[i])) / static_cast<double>(least[i]));
      }
    }
  }

  void assume() {
    const replay::LimitSettings& settings = question_.settings;
    const mm::DeviceModel& device = settings.device;
    study_.assumptions.push_back(fmt::format("swap and files on {}: {} µs to read, {} µs to write, {:.1f} µs a page{}", device.name, device.read_latency_ns / 1000,
                                             device.write_latency_ns / 1000, static_cast<double>(device.page_ns) / 1000, device.rotating ? ", rotating" : ""));
    study_.assumptions.push_back(fmt::format("time: {} ns a reference, {} ns a minor and {} ns a major fault, beside the device", settings.hit_ns, settings.minor_ns, settings.major_ns));
    study_.assumptions.push_back(fmt::format("files in the page cache before, and charged to others: {}", fmt::join(settings.resident, ", ")));
    if (settings.statistics_period_ns != 0) {
      study_.assumptions.push_back(fmt::format("the kernel sums up the group's statistics {:.1f} s after the beginning, then every {:.1f} s, and decides by the last sum",
                                               static_cast<double>(settings.statistics_first_ns) / 1e9, static_cast<double>(settings.statistics_period_ns) / 1e9));
    }
    if (settings.swap_pages == 0) study_.assumptions.push_back("no swap: anonymous pages cannot leave, so that a limit below them is out of memory");
    if (!source_.has_mappings()) study_.assumptions.push_back("the stream has no mappings: all its pages are taken for anonymous memory");
    for (const std::string& remark : source_.remarks()) study_.assumptions.push_back(remark);
  }

  trace::ReferenceSource& source_;
  const LimitQuestion& question_;
  const std::function<void(double)>& progress_;
  LimitStudy study_;
};

}  // namespace

Result<LimitStudy> study_limits(trace::ReferenceSource& source, const LimitQuestion& question, const std::function<void(double)>& progress) {
  return Study(source, question, progress).run();
}

}  // namespace faultline::analyze
