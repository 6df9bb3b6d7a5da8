// The full twin under a memory limit, policy `linux`: anonymous memory, independent draws from Zipf 0.8 over 256 MiB, a third of them
// writes, swap on an SSD. The argument is the limit in percent of the memory: at 70 about nine references of ten hit. The counters say
// which share did, and what was done for the others.
#include <benchmark/benchmark.h>

#include <vector>

#include "policies/zipf.h"
#include "replay/limits/limited_replay.h"
#include "support/reference_sources.h"

namespace faultline {
namespace {

constexpr std::uint64_t kPages = 65'536;
constexpr std::size_t kReferences = 4'000'000;

std::vector<trace::ReferenceEvent> references() {
  std::vector<trace::ReferenceEvent> events(kReferences);
  const std::vector<std::uint64_t> draws = bench::zipf_draws(kPages, 0.8, kReferences, 1);
  for (std::size_t i = 0; i < kReferences; ++i) {
    events[i].page = draws[i] * 40'503 % kPages;  // the hot ones are everywhere, not side by side
    events[i].kind = i % 3 == 0 ? trace::ReferenceKind::write : trace::ReferenceKind::read;
  }
  return events;
}

void BM_LimitedTwin(benchmark::State& state) {
  trace::VectorSource source(references());
  replay::LimitSettings settings;
  settings.limit_pages = kPages * static_cast<std::uint64_t>(state.range(0)) / 100;
  settings.swap_pages = kPages * 4;
  replay::LimitOutcome outcome;
  for (auto _ : state) {
    auto made = replay::replay_limited(source, settings);
    if (!made || made->out_of_memory) return state.SkipWithError("the stream did not run to its end");
    outcome = std::move(*made);
  }
  const auto each = [](std::uint64_t count) { return static_cast<double>(count) / static_cast<double>(kReferences); };
  state.counters["hits"] = 1 - each(outcome.minor_faults + outcome.major_faults);
  state.counters["major"] = each(outcome.major_faults);
  state.counters["swapped_in"] = each(outcome.swapped_in);
  state.counters["evicted"] = each(outcome.evicted);
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kReferences));
}
BENCHMARK(BM_LimitedTwin)->Arg(50)->Arg(70)->Arg(110)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace faultline

BENCHMARK_MAIN();
