// What seeing every memory call and every fault costs the program, by each means. Rounds alternate them, so that a slow moment of the
// machine hits all; medians of wall time, because under ptrace the program mostly waits.
#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace {

struct Means {
  const char *name, *options;  // null: no tool
};

double measure(const Means& means, const std::string& what) {
  std::string command = std::string(KERNEL_LOOP) + " " + what;
  if (means.options != nullptr) command = fmt::format("{} record -q -o /dev/shm/faultline-bench.{}.fl {} -- {} 2>/dev/null", FAULTLINE, getpid(), means.options, command);
  FILE* pipe = popen(command.c_str(), "r");
  char text[64] = {};
  const bool read = pipe != nullptr && std::fgets(text, sizeof text, pipe) != nullptr;
  if (pipe != nullptr) pclose(pipe);
  return read ? std::strtod(text, nullptr) : 0;
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

void table(const char* title, const std::vector<Means>& all, const std::vector<std::pair<const char*, const char*>>& whats) {
  std::vector<std::vector<std::vector<double>>> times(all.size(), std::vector<std::vector<double>>(whats.size()));
  for (int round = 0; round < 5; ++round) {
    for (std::size_t w = 0; w < whats.size(); ++w) {
      for (std::size_t m = 0; m < all.size(); ++m) times[m][w].push_back(measure(all[m], whats[w].second));
    }
  }
  fmt::print("\n| {}", title);
  for (const auto& [name, command] : whats) fmt::print(" | {}, ns | +ns", name);
  fmt::print(" |\n|---");
  for (std::size_t w = 0; w < whats.size(); ++w) fmt::print("|---|---");
  fmt::print("|\n");
  for (std::size_t m = 0; m < all.size(); ++m) {
    fmt::print("| {}", all[m].name);
    for (std::size_t w = 0; w < whats.size(); ++w) {
      const double mine = median(times[m][w]);
      if (mine == 0) {
        fmt::print(" | not permitted |");
      } else {
        fmt::print(" | {:.0f} | {:.0f}", mine, mine - median(times[0][w]));
      }
    }
    fmt::print(" |\n");
  }
}

}  // namespace

int main() {
  table("memory calls", {{"no tool", nullptr},
                         {"none (--calls none)", "--no-faults --calls none"},
                         {"wrapped", "--no-faults --calls wrapped"},
                         {"tracepoints", "--no-faults --calls auto"},
                         {"ptrace", "--no-faults --calls ptrace"}},
        {{"mmap or munmap", "memory 20000"}, {"getppid", "other 20000"}, {"fork and exit", "fork 100"}});
  table("page faults", {{"no tool", nullptr},
                        {"none (--no-faults)", "--calls none --no-faults"},
                        {"faults (--no-fault-access)", "--calls none --no-fault-access"},
                        {"faults and their kind of access", "--calls none"}},
        {{"first write", "fault 30000"}, {"fork and exit", "fork 100"}});
  std::remove(fmt::format("/dev/shm/faultline-bench.{}.fl", getpid()).c_str());
}
