// What the shim alone costs: the loop with nothing, with the shim without stacks, with the shim; rings drained, not stored.
// Rounds alternate the three, so that a slow moment of the machine hits all; medians.
#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "shim_recorder.h"

using namespace faultline;

namespace {

struct Measurement {
  double ns_per_pair, bytes_per_event;
};

Measurement measure(const std::vector<std::string>& command, const char* options) {
  if (options == nullptr) return {std::strtod(test::run_plain(command).output.c_str(), nullptr), 0};
  test::RecorderSettings settings;
  settings.ring_bytes = 1 << 20;
  settings.keep = false;
  test::StandInRecorder recorder(settings);
  const double ns = std::strtod(recorder.run(command, {}, options).output.c_str(), nullptr);
  double bytes = 0;
  for (const auto& [pid, process] : recorder.finish()) bytes += static_cast<double>(process.bytes);
  const double threads = command[1] == "threads" ? 2 : 1;
  return {ns, bytes / (2 * threads * std::strtod(command[2].c_str(), nullptr))};
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

}  // namespace

int main() {
  struct Row {
    const char *pattern, *count, *frames;
  };
  const Row rows[] = {{"pairs", "3000000", "0"}, {"pairs", "3000000", "20"}, {"live", "3000000", "0"},
                      {"live", "3000000", "20"}, {"threads", "2000000", "0"}};
  fmt::print("| pattern | frames | none, CPU ns/pair | shim, no stacks | x | shim, stacks | x | B/event |\n|---|---|---|---|---|---|---|---|\n");
  for (const Row& row : rows) {
    const std::vector<std::string> command{MALLOC_LOOP, row.pattern, row.count, row.frames};
    std::vector<double> none, bare, full, bytes;
    for (int round = 0; round < 5; ++round) {
      none.push_back(measure(command, nullptr).ns_per_pair);
      bare.push_back(measure(command, "stacks=0").ns_per_pair);
      const Measurement with = measure(command, "");
      full.push_back(with.ns_per_pair);
      bytes.push_back(with.bytes_per_event);
    }
    fmt::print("| {} | {} | {:.1f} | {:.1f} | {:.2f} | {:.1f} | {:.2f} | {:.2f} |\n", row.pattern, row.frames, median(none), median(bare),
               median(bare) / median(none), median(full), median(full) / median(none), median(bytes));
  }
}
