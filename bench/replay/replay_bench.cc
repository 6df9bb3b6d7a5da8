// Replay speed: heap model and twin kernel together, touches included, in malloc events per second.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "replay/load.h"
#include "replay/replayer.h"
#include "replay/session.h"
#include "replay/verify.h"
#include "replay/workspace.h"
#include "support/fake_recording.h"

namespace faultline {
namespace {

// Blocks of mixed sizes, allocated and freed at random around `live` of them. Addresses are made up: a replay does not look.
replay::Program random_program(std::size_t events, std::size_t live, std::uint64_t largest) {
  testing::FakeRecording recording;
  std::mt19937_64 random(7);
  std::vector<std::uint64_t> blocks;
  std::uint64_t next = 0x10000;
  std::vector<std::uint64_t> unused;
  while (recording.events.size() < events) {
    if (blocks.size() < live || random() % 2) {
      std::uint64_t size = 16 + random() % 240;
      if (random() % 64 == 0) size = random() % largest;
      recording.malloc(size, next += 1 << 24);
      blocks.push_back(next);
    } else {
      const std::size_t i = random() % blocks.size();
      recording.free(blocks[i]);
      blocks[i] = blocks.back();
      blocks.pop_back();
    }
  }
  return std::move(*replay::load_program(recording, recording.info));
}

replay::Program storm_program(std::size_t rounds, std::uint64_t size) {
  testing::FakeRecording recording;
  for (std::size_t round = 0; round < rounds; ++round) {
    for (std::uint64_t i = 1; i <= 4; ++i) recording.malloc(size, i << 32);
    for (std::uint64_t i = 4; i >= 1; --i) recording.free(i << 32);
  }
  return std::move(*replay::load_program(recording, recording.info));
}

void run(benchmark::State& state, const replay::Program& program) {
  std::uint64_t faults = 0;
  replay::Workspace workspace;
  replay::ReplayPlan plan;
  plan.workspace = &workspace;
  for (auto _ : state) {
    const auto prediction = replay::replay(program, replay::recorded_parameters(program), plan);
    faults = prediction->minor_faults();
    benchmark::DoNotOptimize(faults);
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * program.events.size()));
  state.counters["faults"] = static_cast<double>(faults);
}

void hot_tcache(benchmark::State& state) { run(state, random_program(2'000'000, 100, 1024)); }
void mixed_sizes(benchmark::State& state) { run(state, random_program(2'000'000, 20'000, 16 * 1024)); }
void large_blocks(benchmark::State& state) { run(state, random_program(1'000'000, 1'000, 512 * 1024)); }
void storm(benchmark::State& state) { run(state, storm_program(2'000, 160'000)); }

BENCHMARK(hot_tcache)->Unit(benchmark::kMillisecond);
BENCHMARK(mixed_sizes)->Unit(benchmark::kMillisecond);
BENCHMARK(large_blocks)->Unit(benchmark::kMillisecond);
BENCHMARK(storm)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace faultline

// FAULTLINE_RECORDINGS: recordings of real programs, separated by colons, to be replayed too.
int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::unique_ptr<faultline::replay::Session>> sessions;
  const char* const given = std::getenv("FAULTLINE_RECORDINGS");
  std::istringstream paths(given == nullptr ? "" : given);
  for (std::string path; std::getline(paths, path, ':');) {
    auto session = faultline::replay::open_session(path);
    if (!session) {
      std::fprintf(stderr, "replay_bench: %s\n", session.error().message().c_str());
      return 2;
    }
    sessions.push_back(std::make_unique<faultline::replay::Session>(std::move(*session)));
    const faultline::replay::Program& program = sessions.back()->program;
    benchmark::RegisterBenchmark(path.c_str(), [&program](benchmark::State& state) { faultline::run(state, program); })->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
