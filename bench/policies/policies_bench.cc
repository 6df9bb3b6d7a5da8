// Policies and curves on the workload libCacheSim was measured with: 20 M references, independent draws from Zipf 0.8 over 1 M pages,
// 100,000 frames, one thread. Prints the table of docs/measurements/policies.md.
//   policies_bench [--references N] [--seed N] [--repeat N] [--only NAME] [--output FILE]
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <map>
#include <string>

#include "analyze/curves/lru_curve.h"
#include "analyze/curves/miniature.h"
#include "analyze/curves/shards.h"
#include "analyze/curves/simulation.h"
#include "zipf.h"

namespace faultline {
namespace {

using analyze::KeyPages;
using Keys = std::vector<std::uint64_t>;

constexpr std::uint64_t kPages = 1'000'000;
constexpr double kExponent = 0.8;
constexpr std::uint64_t kFrames = 100'000;

struct Published {
  double miss_ratio, speed;
};
// libCacheSim, the same workload on another machine: miss ratio, M requests/s.
const std::map<std::string, Published> kLibCacheSim = {
    {"fifo", {0.5525, 5.4}},    {"lru", {0.5139, 4.2}}, {"clock", {0.5022, 3.7}}, {"sieve", {0.4423, 5.7}}, {"s3-fifo", {0.4343, 1.8}}, {"arc", {0.4448, 3.4}},
    {"2q", {0.4538, 1.8}},      {"lirs", {0.4454, 1.5}}, {"slru", {0.4394, 3.2}}, {"lfu", {0.4425, 3.3}},   {"opt", {0.3030, 2.2}},
};

struct Options {
  std::size_t references = 20'000'000;
  std::uint64_t seed = 20261123;
  int repeat = 3;
  std::string only, output;
};

// Of this thread on a processor: others on the machine cost cache, but not time.
double seconds_of(auto&& work) {
  const auto now = [] {
    timespec at{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) * 1e-9;
  };
  const double start = now();
  work();
  return now() - start;
}

template <typename T>
T value(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "policies_bench: {}\n", result.error().message());
  std::exit(1);
}

// The keys numbered beforehand, for the time of the policy alone.
struct Numbered {
  std::vector<mm::PageId> pages;
  std::vector<analyze::PageEvent> events;
  mm::PageId count = 0;
  analyze::NextUses uses;

  explicit Numbered(const Keys& keys) {
    KeyPages stream(keys);
    uses = value(analyze::NextUses::of(stream));
    for (;;) {
      const analyze::PageBatch batch = value(stream.next());
      if (batch.pages.empty()) break;
      pages.insert(pages.end(), batch.pages.begin(), batch.pages.end());
    }
    events.assign(pages.size(), analyze::PageEvent::read);
    count = stream.pages();
  }
};

class Table {
 public:
  template <typename... Args>
  void line(fmt::format_string<Args...> format, Args&&... args) {
    const std::string text = fmt::format(format, std::forward<Args>(args)...);
    fmt::print("{}\n", text);
    std::fflush(stdout);
    text_ += text + "\n";
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

struct Row {
  std::string label;
  const mm::PolicyDescriptor* policy;
  mm::PolicyConfig config;
};

void policy_row(Table& table, const Row& row, const Keys& keys, const Numbered& numbered, int repeat) {
  analyze::SimulationCounts counts;
  double with = 1e9, without = 1e9;
  for (int i = 0; i < repeat; ++i) {
    with = std::min(with, seconds_of([&] {
      KeyPages stream(keys);
      counts = value(analyze::simulate(*row.policy, stream, row.config));
    }));
    without = std::min(without, seconds_of([&] {
      mm::PolicyConfig config = row.config;
      config.pages = numbered.count;
      analyze::Simulation simulation(*row.policy, config);
      constexpr std::size_t kBatch = 4096;
      for (std::size_t at = 0; at < keys.size(); at += kBatch) {
        const std::size_t count = std::min(kBatch, keys.size() - at);
        simulation.feed({std::span(numbered.pages).subspan(at, count), std::span(numbered.events).subspan(at, count)}, numbered.count,
                        numbered.uses.data());
      }
    }));
  }
  const auto million = static_cast<double>(keys.size()) / 1e6;
  const auto known = kLibCacheSim.find(row.label);
  const std::string theirs = known == kLibCacheSim.end() ? "| | |" : fmt::format("| {:.4f} | {:.1f} | {:.1f}x", known->second.miss_ratio, known->second.speed, million / with / known->second.speed);
  table.line("| {} | {:.4f} | {:.1f} | {:.1f} {} |", row.label, counts.miss_ratio(), million / with, million / without, theirs);
}

void curve_rows(Table& table, const Keys& keys, int repeat) {
  const auto million = static_cast<double>(keys.size()) / 1e6;
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t i = 1; i <= 100; ++i) sizes.push_back(i * kPages / 100);
  analyze::MissCurve exact;
  double time = 1e9;
  for (int i = 0; i < repeat; ++i) {
    time = std::min(time, seconds_of([&] {
      KeyPages stream(keys);
      exact = value(analyze::lru_curve(stream));
    }));
  }
  table.line("| exact LRU, all sizes | {:.1f} | | {} points |", million / time, exact.points().size());
  const auto against = [&](const char* name, auto&& make) {
    double best = 1e9, error = 0, worst = 0;
    constexpr int kSalts = 10;
    for (int salt = 0; salt < kSalts; ++salt) {
      analyze::MissCurve curve;
      best = std::min(best, seconds_of([&] { curve = make(static_cast<std::uint64_t>(salt)); }));
      const double mae = analyze::mean_absolute_error(exact, curve, sizes);
      error += mae / kSalts;
      worst = std::max(worst, mae);
    }
    table.line("| {} | {:.1f} | {:.3f} % | worst of {} samples {:.3f} % |", name, million / best, error * 100, kSalts, worst * 100);
  };
  against("SHARDS, 1 % of the pages", [&](std::uint64_t salt) {
    KeyPages stream(keys, analyze::PageSample::at_rate(0.01, salt));
    return value(analyze::shards_curve(stream, 0.01));
  });
  against("SHARDS, at most 8192 pages", [&](std::uint64_t salt) {
    KeyPages stream(keys, {analyze::kNearlyAll.below, salt});
    return value(analyze::fixed_size_shards_curve(stream, 8192));
  });
  std::vector<std::uint64_t> ten;
  for (std::uint64_t i = 1; i <= 10; ++i) ten.push_back(i * kPages / 10);
  for (const char* name : {"lru", "sieve", "arc"}) {
    KeyPages all(keys);
    const analyze::MissCurve full = value(analyze::policy_curve(*mm::find_policy(name), all, ten));
    double error = 0, best = 1e9;
    constexpr int kSalts = 5;
    for (int salt = 0; salt < kSalts; ++salt) {
      analyze::MissCurve mini;
      best = std::min(best, seconds_of([&] {
        KeyPages stream(keys, analyze::PageSample::at_rate(0.01, static_cast<std::uint64_t>(salt)));
        mini = value(analyze::policy_curve(*mm::find_policy(name), stream, ten));
      }));
      error += analyze::mean_absolute_error(full, mini, ten) / kSalts;
    }
    table.line("| miniature {}, 1 %, ten sizes | {:.1f} | {:.3f} % | |", name, million / best, error * 100);
  }
}

int run(const Options& options, const std::string& command) {
  const Keys keys = bench::zipf_draws(kPages, kExponent, options.references, options.seed);
  const Numbered numbered(keys);
  Table table;
  table.line("{} references, independent draws from Zipf {} over {} pages, {} frames, seed {}, one thread, best of {}.", keys.size(), kExponent, kPages,
             kFrames, options.seed, options.repeat);
  table.line("`{}`, {:%Y-%m-%d}\n", command, fmt::localtime(std::time(nullptr)));
  table.line("| policy | miss ratio | M references/s from raw 64-bit ids | numbered beforehand | libCacheSim's miss ratio | its M/s | |");
  table.line("|---|---|---|---|---|---|---|");
  mm::PolicyConfig config;
  config.capacity = kFrames;
  std::vector<Row> rows;
  for (const mm::PolicyDescriptor& policy : mm::policies()) rows.push_back({policy.name, &policy, config});
  const auto variant = [&](const char* label, const char* name, auto&& change) {
    rows.push_back({label, mm::find_policy(name), config});
    change(rows.back().config);
  };
  variant("clock, 2 bits", "clock", [](mm::PolicyConfig& c) { c.bits = 2; });
  variant("slru, 4 equal segments (libCacheSim's)", "slru", [](mm::PolicyConfig& c) { c.segments = 4; });
  variant("lirs, ghosts = frames (libCacheSim's)", "lirs", [](mm::PolicyConfig& c) { c.ghosts = 1; });
  for (const Row& row : rows) {
    if (options.only.empty() || row.label == options.only) policy_row(table, row, keys, numbered, options.repeat);
  }
  if (options.only.empty() || options.only == "curves") {
    table.line("\n| curve | M references/s | mean absolute error | |");
    table.line("|---|---|---|---|");
    curve_rows(table, keys, options.repeat);
  }
  if (!options.output.empty()) {
    std::ofstream file(options.output);
    file << "# Replacement policies: miss ratios and speed\n\n" << table.text();
    if (!file.flush()) return fmt::print(stderr, "policies_bench: cannot write {}\n", options.output), 1;
  }
  return 0;
}

}  // namespace
}  // namespace faultline

int main(int argc, char** argv) {
  faultline::Options options;
  std::string command = "policies_bench";
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--references") options.references = std::stoull(value);
    else if (name == "--seed") options.seed = std::stoull(value);
    else if (name == "--repeat") options.repeat = std::stoi(value);
    else if (name == "--only") options.only = value;
    else if (name == "--output") options.output = value;
    else return fmt::print(stderr, "policies_bench: unknown option {}\n", name), 2;
    command += " " + name + " " + value;
  }
  return faultline::run(options, command);
}
