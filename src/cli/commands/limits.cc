// faultline limits FILE: faults and stall time against the memory limit, for each policy; the knee; the smallest safe limit.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "analyze/format.h"
#include "analyze/limits/limit_study.h"
#include "cli/command.h"
#include "cli/size_option.h"
#include "mm/reclaim/policy.h"
#include "trace/references/reference_file.h"

namespace faultline::cli {
namespace {

using analyze::format_bytes;
using analyze::format_count;
using analyze::format_share;
using analyze::format_time;
using nlohmann::ordered_json;

std::string names_of(bool twin) {
  std::string names;
  for (const mm::PolicyDescriptor& policy : mm::policies()) {
    if (!twin || policy.sees < mm::Sees::future) names += (names.empty() ? "" : ", ") + std::string(policy.name);
  }
  return names;
}

ordered_json to_json(const replay::LimitOutcome& outcome) {
  ordered_json mappings = ordered_json::array();
  for (const replay::MappingFaults& one : outcome.mappings) {
    mappings.push_back({{"mapping", one.name}, {"minor_faults", one.minor}, {"major_faults", one.major}});
  }
  return {{"minor_faults", outcome.minor_faults},
          {"major_faults", outcome.major_faults},
          {"swapped_in_pages", outcome.swapped_in},
          {"swapped_out_pages", outcome.swapped_out},
          {"file_read_pages", outcome.file_pages_read},
          {"evicted_pages", outcome.evicted},
          {"stall_ns", outcome.stall_ns},
          {"time_ns", outcome.time_ns},
          {"peak_bytes", outcome.peak_pages * kPageSize},
          {"out_of_memory", outcome.out_of_memory},
          {"killed_at", outcome.out_of_memory ? ordered_json(outcome.killed_at) : ordered_json(nullptr)},
          {"mappings", mappings}};
}

ordered_json optional_json(const std::optional<std::uint64_t>& value) { return value ? ordered_json(*value) : ordered_json(nullptr); }

class Limits : public Command {
 public:
  void describe(CLI::App& app) override {
    app.add_option("file", file_, "reference stream (faultline record --references exact, faultline import)")->required();
    app.add_option("--limit", limits_, "memory limit to look at, e.g. 64MB (repeatable; default: ten of them)")->transform(size_up_to(kMostMemory, "128TB"))->allow_extra_args(false);
    app.add_option("--swap", swap_bytes_, "size of the swap device (default: 16 GiB; 0: none)")->transform(size_up_to(kMostSwap, "128GB"));
    app.add_option("--device", device_, "what swap and files lie on: nvme, ssd, hdd, zram")->capture_default_str();
    app.add_option("--policy", policy_, "page replacement of the machine: " + names_of(true))->capture_default_str();
    app.add_option("--compare", policies_, "policies to compare, by the misses of single pages: " + names_of(false) + ", or none (repeatable)")->allow_extra_args(false);
    app.add_option("--slowdown", slowdown_, "what the safe limit may cost, as a share of the time without one")->capture_default_str()->check(CLI::Range(0.0, 100.0));
    app.add_option("--swappiness", swappiness_, "vm.swappiness")->capture_default_str()->check(CLI::Range(0, 200));
    app.add_option("--read-ahead", read_ahead_bytes_, "read-ahead window of files (queue/read_ahead_kb)")->transform(size_up_to(kMostMemory, "128TB"))->default_str("128kb");
    app.add_option("--resident", resident_, "files in the page cache before the program begins, charged to others: a pattern of paths, or none (repeatable; default: /usr/*, /etc/*, /opt/*)")
        ->allow_extra_args(false);
    app.add_flag("--cgroup-v1", cgroup_v1_, "the limit is one of cgroup version 1, where reclaim waits for writes");
    app.add_flag("--json", json_, "print JSON");
  }

  Result<int> run() override {
    FL_TRY(const analyze::LimitQuestion question, question_of());
    if (access(file_.c_str(), R_OK) != 0) return fail(make_error("{}: {}", file_, std::strerror(errno)));
    if (!trace::ReferenceStreamFile::is_one(file_)) {
      return fail(make_error("{}: wanted a reference stream (faultline record --references exact -- COMMAND, or faultline import), found something else", file_));
    }
    FL_TRY(const auto source, trace::ReferenceStreamFile::open(file_));
    if (source->events() == 0 && source->damage()) return fail(make_error("{}: {}; nothing is left of it", file_, *source->damage()));
    const bool show = !json_ && isatty(STDERR_FILENO) == 1;
    FL_TRY(const analyze::LimitStudy study, analyze::study_limits(*source, question, [show](double share) {
             if (show) fmt::print(stderr, "\r{:3.0f} %{}", share * 100, share >= 1 ? "\r      \r" : "");
           }));
    json_ ? print_json(study) : print_text(study);
    if (source->damage()) fmt::print(stderr, "faultline: {}: {}; what is before it was used\n", file_, *source->damage());
    return kDone;
  }

 private:
  Result<analyze::LimitQuestion> question_of() const {
    analyze::LimitQuestion question;
    const auto* const device = std::find_if(std::begin(mm::kDevices), std::end(mm::kDevices), [&](const mm::DeviceModel& one) { return one.name == device_; });
    if (device == std::end(mm::kDevices)) return fail(make_error("--device {}: wanted nvme, ssd, hdd or zram", device_));
    const mm::PolicyDescriptor* const policy = mm::find_policy(policy_);
    if (policy == nullptr || policy->sees == mm::Sees::future) return fail(make_error("--policy {}: wanted one of {}", policy_, names_of(true)));
    for (const std::string& name : policies_) {
      if (name != "none" && mm::find_policy(name) == nullptr) return fail(make_error("--compare {}: wanted one of {}, or none", name, names_of(false)));
    }
    for (const std::uint64_t limit : limits_) {
      if (limit < kPageSize) return fail(make_error("--limit {}: wanted a page (4096 bytes) at least", limit));
    }
    if (!(slowdown_ >= 0)) return fail(make_error("--slowdown: wanted a share from 0 to 100, found no number"));
    question.settings.device = *device;
    question.settings.policy = policy_;
    question.settings.swappiness = swappiness_;
    question.settings.cgroup_v1 = cgroup_v1_;
    if (!resident_.empty()) question.settings.resident = resident_;
    question.settings.read_ahead_pages = static_cast<std::uint32_t>(std::min<std::uint64_t>(read_ahead_bytes_ / kPageSize, 1u << 20));
    question.settings.swap_pages = swap_bytes_ == kDefaultSwap ? kDefaultSwapPages : swap_bytes_ / kPageSize;
    question.limits_bytes = limits_;
    question.policies = policies_;
    question.slowdown = slowdown_;
    return question;
  }

  void print_text(const analyze::LimitStudy& study) const {
    fmt::print("{}: {} references, {} held at once without a limit, {} minor faults\n\n", file_, format_count(study.references), format_bytes(study.peak_bytes),
               format_count(study.unlimited.minor_faults));
    fmt::print("under a limit, page replacement of Linux ({}), swap on {}\n", policy_, device_);
    fmt::print("{:>10} {:>13} {:>13} {:>13} {:>13} {:>10} {:>9}\n", "limit", "major faults", "minor faults", "swapped out", "file pages", "stall", "slower");
    for (const analyze::LimitRow& row : study.rows) {
      const replay::LimitOutcome& outcome = row.outcome;
      if (outcome.out_of_memory) {
        fmt::print("{:>10} out of memory: {}\n", format_bytes(row.limit_bytes), outcome.killed_at);
        continue;
      }
      fmt::print("{:>10} {:>13} {:>13} {:>13} {:>13} {:>10} {:>9}\n", format_bytes(row.limit_bytes), format_count(outcome.major_faults), format_count(outcome.minor_faults),
                 format_count(outcome.swapped_out), format_count(outcome.file_pages_read), format_time(static_cast<double>(outcome.stall_ns)), format_share(row.slowdown));
    }
    if (!study.policies.empty()) print_policies(study);
    print_answers(study);
    for (const std::string& one : study.assumptions) fmt::print("assumes: {}\n", one);
  }

  void print_policies(const analyze::LimitStudy& study) const {
    fmt::print("\nmisses of single pages by policy, without read-ahead and batches{}; * sees what no kernel can see\n",
               study.sampled_rate < 1 ? fmt::format(" (estimated from {} of the pages)", format_share(study.sampled_rate)) : "");
    fmt::print("{:>10}", "limit");
    for (const analyze::PolicyMisses& policy : study.policies) fmt::print(" {:>12}", policy.name + (policy.yardstick ? "*" : ""));
    fmt::print("\n");
    for (std::size_t i = 0; i < study.rows.size(); ++i) {
      fmt::print("{:>10}", format_bytes(study.rows[i].limit_bytes));
      for (const analyze::PolicyMisses& policy : study.policies) fmt::print(" {:>12}", format_count(policy.misses[i]));
      fmt::print("\n");
    }
    if (study.policies.front().regret.empty()) return;
    fmt::print("regret: misses beyond those of opt, as a share of them\n");
    for (std::size_t i = 0; i < study.rows.size(); ++i) {
      fmt::print("{:>10}", format_bytes(study.rows[i].limit_bytes));
      for (const analyze::PolicyMisses& policy : study.policies) fmt::print(" {:>12}", format_share(policy.regret[i]));
      fmt::print("\n");
    }
  }

  void print_answers(const analyze::LimitStudy& study) const {
    fmt::print("\n");
    if (study.knee_bytes) fmt::print("knee: {}: below it major faults grow fastest\n", format_bytes(*study.knee_bytes));
    if (study.safe_bytes) {
      fmt::print("smallest safe limit: {} (to {}): at most {} slower than without a limit\n", format_bytes(*study.safe_bytes), format_bytes(study.safe_step_bytes), format_share(slowdown_));
    }
    if (study.killed_below_bytes) fmt::print("at {} and below Linux would kill the program\n", format_bytes(*study.killed_below_bytes));
    for (const analyze::LimitRow& row : study.rows) {
      if (row.outcome.out_of_memory || row.outcome.major_faults < 100) continue;
      fmt::print("major faults at {}:", format_bytes(row.limit_bytes));
      for (std::size_t i = 0; i < std::min<std::size_t>(3, row.outcome.mappings.size()); ++i) {
        const replay::MappingFaults& one = row.outcome.mappings[i];
        if (one.major > 0) fmt::print("{} {} in {}", i == 0 ? "" : ",", format_share(static_cast<double>(one.major) / static_cast<double>(row.outcome.major_faults)), one.name);
      }
      fmt::print("\n");
      break;
    }
  }

  void print_json(const analyze::LimitStudy& study) const {
    ordered_json out;
    out["file"] = file_;
    out["references"] = study.references;
    out["policy"] = policy_;
    out["device"] = device_;
    out["unlimited"] = to_json(study.unlimited);
    out["limits"] = ordered_json::array();
    for (const analyze::LimitRow& row : study.rows) {
      ordered_json one = {{"limit_bytes", row.limit_bytes}, {"slowdown", row.slowdown}};
      one.update(to_json(row.outcome));
      out["limits"].push_back(one);
    }
    out["policies"] = ordered_json::array();
    for (const analyze::PolicyMisses& policy : study.policies) {
      out["policies"].push_back({{"policy", policy.name}, {"yardstick", policy.yardstick}, {"misses", policy.misses}, {"regret", policy.regret}, {"estimated", study.sampled_rate < 1}});
    }
    out["knee_bytes"] = optional_json(study.knee_bytes);
    out["safe_bytes"] = optional_json(study.safe_bytes);
    out["safe_step_bytes"] = study.safe_step_bytes;
    out["killed_below_bytes"] = optional_json(study.killed_below_bytes);
    out["assumptions"] = study.assumptions;
    fmt::print("{}\n", out.dump(2));
  }

  static constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 47;  // an address space
  static constexpr std::uint64_t kMostSwap = std::uint64_t{1} << 37;    // each of its pages takes 12 bytes here
  static constexpr std::uint64_t kDefaultSwap = ~std::uint64_t{0};
  static constexpr std::uint64_t kDefaultSwapPages = std::uint64_t{16} << 18;  // 16 GiB: never full

  std::string file_;
  std::vector<std::uint64_t> limits_;
  std::uint64_t swap_bytes_ = kDefaultSwap;
  std::string device_ = "ssd";
  std::string policy_ = "linux";
  std::vector<std::string> policies_;
  double slowdown_ = 0.10;
  unsigned swappiness_ = 60;
  std::uint64_t read_ahead_bytes_ = 128 * 1024;
  std::vector<std::string> resident_;
  bool cgroup_v1_ = false;
  bool json_ = false;
};

}  // namespace

FL_REGISTER_COMMAND(Limits, "limits", "faults and stall time against a memory limit, the knee, the smallest safe limit");

}  // namespace faultline::cli
