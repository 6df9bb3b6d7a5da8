// How fast a recording is read: read_bench FILE. Events of every process, merged, as replay gets them.
#include <fmt/format.h>

#include <chrono>

#include "trace/recording.h"

int main(int argc, char** argv) {
  using namespace faultline::trace;
  if (argc != 2) return fmt::print(stderr, "usage: read_bench FILE\n"), 2;
  auto seconds = [start = std::chrono::steady_clock::now()] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  auto recording = Recording::open(argv[1]);
  if (!recording) return fmt::print(stderr, "{}\n", recording.error().message()), 2;
  const double opened = seconds();
  for (int round = 0; round < 3; ++round) {
    const double start = seconds();
    std::uint64_t events = 0, sum = 0;
    for (const ProcessInfo& process : (*recording)->processes()) {
      const auto reader = (*recording)->heap_events(process.pid);
      for (HeapEvent event; reader->next(event); ++events) sum += event.result;
    }
    const double took = seconds() - start;
    fmt::print("open {:.3f} s, {} events in {:.3f} s: {:.1f} M events/s, {:.2f} bytes/event in the file (checksum {:x})\n", opened, events, took,
               static_cast<double>(events) / took / 1e6, static_cast<double>((*recording)->file_bytes()) / static_cast<double>(events), sum);
  }
  return 0;
}
