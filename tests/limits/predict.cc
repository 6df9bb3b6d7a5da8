// limits_predict PATTERN SEED LIMIT_BYTES...: the same pattern as a reference stream in the twin; one line of JSON for each limit.
// limits_predict --list: the patterns. Options by environment: FAULTLINE_SWAP_ROTATING=1, FAULTLINE_CGROUP_V1=1,
// FAULTLINE_READ_AHEAD_KIB=128 say what the machine is.
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "pattern.h"
#include "replay/limits/limited_replay.h"
#include "support/reference_sources.h"

namespace {

using namespace faultline;
using namespace faultline::bench;
using trace::ReferenceEvent;
using trace::ReferenceKind;

// Regions far from each other, and never merged.
class StreamSink final : public PatternSink {
 public:
  void map(unsigned region, std::uint64_t pages) override { place(region, pages, trace::kNoFile); }
  void map_file(unsigned region, std::uint64_t pages) override { place(region, pages, 0); }
  void unmap(unsigned region) override {
    events.push_back({.kind = ReferenceKind::unmap, .process = process_, .page = regions_[region].first, .pages = regions_[region].second});
  }
  void touch(unsigned region, std::uint64_t page, bool write) override {
    events.push_back({.kind = write ? ReferenceKind::write : ReferenceKind::read, .process = process_, .page = regions_[region].first + page});
  }
  void read_file(std::uint64_t page, std::uint64_t pages) override {
    events.push_back({.kind = ReferenceKind::file_read, .process = process_, .file = 0, .page = page, .pages = pages});
  }
  void fork(const std::function<void()>& child) override {
    const std::uint32_t parent = process_;
    events.push_back({.kind = ReferenceKind::fork, .process = parent, .pages = ++processes_});
    process_ = processes_;
    child();
    events.push_back({.kind = ReferenceKind::exit, .process = process_});
    process_ = parent;
  }
  std::vector<ReferenceEvent> events;

 private:
  void place(unsigned region, std::uint64_t pages, std::uint32_t file) {
    const std::uint64_t first = (std::uint64_t{region} + 1) << 20;
    regions_[region] = {first, pages};
    events.push_back({.kind = ReferenceKind::map, .protection = static_cast<std::uint8_t>(file == trace::kNoFile ? 3 : 1), .shared = file != trace::kNoFile,
                      .process = process_, .file = file, .page = first, .pages = pages});
  }
  std::map<unsigned, std::pair<std::uint64_t, std::uint64_t>> regions_;
  std::uint32_t process_ = 0;
  std::uint32_t processes_ = 0;
};

bool set(const char* name) {
  const char* const value = std::getenv(name);
  return value != nullptr && std::string(value) == "1";
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::string(argv[1]) == "--list") {
    for (const Pattern& one : patterns()) fmt::print("{} {} {} {}\n", one.name, one.tuning ? "tuning" : "checking", one.pages, one.file_pages);
    return 0;
  }
  for (const Pattern& pattern : patterns()) {
    if (argc < 4 || pattern.name != argv[1]) continue;
    StreamSink sink;
    Draw draw(std::strtoull(argv[2], nullptr, 10));
    pattern.run(sink, draw);
    trace::VectorSource stream(std::move(sink.events), true);
    stream.files_ = {{"file", pattern.file_pages}};
    for (int i = 3; i < argc; ++i) {
      replay::LimitSettings settings;
      settings.limit_pages = std::strtoull(argv[i], nullptr, 10) >> 12;
      settings.swap_pages = 2048ull << 8;
      settings.device.rotating = set("FAULTLINE_SWAP_ROTATING");
      settings.cgroup_v1 = set("FAULTLINE_CGROUP_V1");
      if (const char* const kib = std::getenv("FAULTLINE_READ_AHEAD_KIB")) settings.read_ahead_pages = static_cast<std::uint32_t>(std::strtoul(kib, nullptr, 10) / 4);
      const auto outcome = replay::replay_limited(stream, settings);
      if (!outcome) {
        fmt::print(stderr, "limits_predict: {}\n", outcome.error().message());
        return 2;
      }
      fmt::print("{{\"minor_faults\": {}, \"major_faults\": {}, \"swapped_in\": {}, \"swapped_out\": {}, \"out_of_memory\": {}}}\n", outcome->minor_faults,
                 outcome->major_faults, outcome->swapped_in, outcome->swapped_out, outcome->out_of_memory);
    }
    return 0;
  }
  fmt::print(stderr, "usage: limits_predict PATTERN SEED LIMIT_BYTES..., or --list\n");
  return 2;
}
