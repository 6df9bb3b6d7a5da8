// Speed of `faultline report`'s two long parts: the attribution pass over heap events, and naming code addresses.
#include <benchmark/benchmark.h>
#include <link.h>

#include <random>

#include "analyze/attribution.h"
#include "analyze/symbolizer.h"
#include "support/synthetic_recording.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kHeap = 0x555555559000;

// A recording whose events are made up while they are read: random frees among `live` blocks of 16 B to 4 KiB.
class Streamed : public testing::SyntheticRecording {
 public:
  Streamed(std::uint64_t count, std::uint64_t live, std::uint64_t faults) : count_(count), live_(live) {
    std::mt19937_64 random(1);
    for (std::uint64_t i = 0; i < faults; ++i) fault(i * (count * 100 / faults), kHeap + random() % (live * 4096));
    for (trace::FaultEvent& event : fault_list) event.ip = kProgram + random() % 0x4000;
    trace::MemoryCall call;
    call.begin_ns = call.end_ns = 1;
    call.result = static_cast<std::int64_t>(kHeap + live * 4096);
    call.tid = 100;
    call_list.push_back(call);
  }
  std::unique_ptr<trace::HeapEventReader> heap_events(trace::Pid) override { return std::make_unique<Reader>(count_, live_); }

 private:
  std::uint64_t count_, live_;

  class Reader : public trace::HeapEventReader {
   public:
    Reader(std::uint64_t count, std::uint64_t live) : count_(count), used_(live) {}
    bool next(trace::HeapEvent& event) override {
      if (at_ == count_) return false;
      // xorshift: cheap enough not to be what is measured.
      state_ ^= state_ << 13;
      state_ ^= state_ >> 7;
      state_ ^= state_ << 17;
      const std::size_t slot = static_cast<std::size_t>(state_ % used_.size());
      event = {};
      event.begin_ns = event.end_ns = ++at_ * 100;
      event.tid = 100 + static_cast<trace::Tid>(state_ >> 60 & 3);
      event.stack = static_cast<trace::StackId>(state_ >> 40 & 8191);
      if (used_[slot]) {
        event.op = trace::HeapOp::free;
        event.b = kHeap + slot * 4096 + 16;
      } else {
        event.a = 16 + (state_ >> 20 & 2047);
        event.result = kHeap + slot * 4096 + 16;
      }
      used_[slot] = !used_[slot];
      return true;
    }

   private:
    std::uint64_t count_, at_ = 0, state_ = 88172645463325252u;
    std::vector<char> used_;
  };
};

void attribution(benchmark::State& state) {
  const auto count = static_cast<std::uint64_t>(state.range(0));
  Streamed recording(count, static_cast<std::uint64_t>(state.range(1)), static_cast<std::uint64_t>(state.range(2)));
  for (auto _ : state) benchmark::DoNotOptimize(attribute(recording, recording.info));
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(attribution)
    ->ArgNames({"events", "slots", "faults"})
    ->Args({10'000'000, 10'000, 100'000})
    ->Args({10'000'000, 200'000, 100'000})
    ->Args({10'000'000, 200'000, 2'000'000})
    ->Unit(benchmark::kMillisecond)
    ->Iterations(1);

void symbolize_libc(benchmark::State& state) {
  std::vector<trace::Module> modules;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        if (std::string_view(info->dlpi_name).find("libc.so") == std::string_view::npos) return 0;
        trace::Module module;
        module.bias = info->dlpi_addr;
        module.path = info->dlpi_name;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& header = info->dlpi_phdr[i];
          if (header.p_type != PT_LOAD || (header.p_flags & PF_X) == 0) continue;
          module.start = info->dlpi_addr + header.p_vaddr;
          module.end = module.start + header.p_memsz;
        }
        static_cast<std::vector<trace::Module>*>(out)->push_back(module);
        return 0;
      },
      &modules);
  if (modules.empty()) return state.SkipWithError("no libc.so mapped");
  const std::uint64_t step = (modules[0].end - modules[0].start) / static_cast<std::uint64_t>(state.range(0));
  for (auto _ : state) {
    Symbolizer symbolizer(modules);
    for (std::uint64_t pc = modules[0].start; pc < modules[0].end; pc += step) benchmark::DoNotOptimize(symbolizer.at(pc));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(symbolize_libc)->ArgName("pcs")->Arg(100'000)->Unit(benchmark::kMillisecond)->Iterations(1);

}  // namespace
}  // namespace faultline::analyze

BENCHMARK_MAIN();
