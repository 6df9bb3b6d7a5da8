// What a look at all processes costs, by how many there are: items are processes. And what is read of one.
#include <benchmark/benchmark.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "live/mappings.h"
#include "live/process_stat.h"
#include "live/process_table.h"

namespace faultline::live {
namespace {

class Sleepers {
 public:
  explicit Sleepers(std::int64_t count) {
    for (std::int64_t i = 0; i < count; ++i) {
      const pid_t pid = fork();
      if (pid == 0) {
        pause();
        _exit(0);
      }
      if (pid > 0) pids_.push_back(pid);
    }
  }
  ~Sleepers() {
    for (const pid_t pid : pids_) kill(pid, SIGKILL);
    for (const pid_t pid : pids_) waitpid(pid, nullptr, 0);
  }

 private:
  std::vector<pid_t> pids_;
};

void sample(benchmark::State& state) {
  const Sleepers sleepers(state.range(0));
  const auto proc = Proc::open();
  ProcessTable table(*proc);
  table.sample();
  std::int64_t processes = 0;
  for (auto _ : state) {
    table.sample();
    processes += static_cast<std::int64_t>(table.rows().size());
  }
  state.SetItemsProcessed(processes);
}
BENCHMARK(sample)->Arg(50)->Arg(500)->Arg(3000)->Unit(benchmark::kMillisecond);

void parse_one_stat(benchmark::State& state) {
  const auto proc = Proc::open();
  std::string text;
  proc->read("self/stat", text);
  ProcessStat stat;
  for (auto _ : state) benchmark::DoNotOptimize(parse_stat(text, stat));
}
BENCHMARK(parse_one_stat);

void read_own_smaps(benchmark::State& state) {
  const auto proc = Proc::open();
  std::string text;
  std::int64_t mappings = 0;
  for (auto _ : state) {
    proc->read("self/smaps", text);
    mappings += static_cast<std::int64_t>(parse_smaps(text).size());
  }
  state.SetItemsProcessed(mappings);
}
BENCHMARK(read_own_smaps);

}  // namespace
}  // namespace faultline::live

BENCHMARK_MAIN();
