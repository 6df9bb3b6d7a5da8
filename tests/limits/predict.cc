// limits_predict PATTERN SEED LIMIT_BYTES...: the same pattern as a reference stream in the twin; one line of JSON for each limit.
// limits_predict --stream FILE LIMIT_BYTES...: the same for a recorded stream. limits_predict --list: the patterns.
// machine() has the variables of the environment that say what the machine is.
#include <fmt/format.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "pattern.h"
#include "replay/limits/limited_replay.h"
#include "support/reference_sources.h"
#include "trace/references/reference_file.h"

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

std::uint64_t number(const char* name, std::uint64_t otherwise) {
  const char* const value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// What the machine is.
replay::LimitSettings machine() {
  replay::LimitSettings settings;
  settings.swap_pages = 2048ull << 8;
  settings.device.rotating = number("FAULTLINE_SWAP_ROTATING", 0) == 1;
  settings.device.read_latency_ns = number("FAULTLINE_READ_LATENCY_NS", settings.device.read_latency_ns);
  settings.device.write_latency_ns = number("FAULTLINE_WRITE_LATENCY_NS", settings.device.write_latency_ns);
  settings.device.page_ns = number("FAULTLINE_PAGE_NS", settings.device.page_ns);
  settings.swap_read_ahead_hits = static_cast<std::uint32_t>(number("FAULTLINE_SWAP_READ_AHEAD_HITS", settings.swap_read_ahead_hits));
  settings.cgroup_v1 = number("FAULTLINE_CGROUP_V1", 0) == 1;
  settings.read_ahead_pages = static_cast<std::uint32_t>(number("FAULTLINE_READ_AHEAD_KIB", settings.read_ahead_pages * 4) / 4);
  settings.statistics_period_ns = number("FAULTLINE_STATISTICS_PERIOD_MS", settings.statistics_period_ns / 1'000'000) * 1'000'000;
  settings.statistics_first_ns = number("FAULTLINE_STATISTICS_FIRST_MS", settings.statistics_first_ns / 1'000'000) * 1'000'000;
  if (const char* const pattern = std::getenv("FAULTLINE_RESIDENT")) settings.resident.emplace_back(pattern);
  return settings;
}

bool predict(trace::ReferenceSource& stream, const replay::LimitSettings& settings) {
  const auto outcome = replay::replay_limited(stream, settings);
  if (!outcome) {
    fmt::print(stderr, "limits_predict: {}\n", outcome.error().message());
    return false;
  }
  fmt::print("{{\"minor_faults\": {}, \"major_faults\": {}, \"swapped_in\": {}, \"swapped_out\": {}, \"peak_pages\": {}, \"time_ns\": {}, "
             "\"out_of_memory\": {}}}\n",
             outcome->minor_faults, outcome->major_faults, outcome->swapped_in, outcome->swapped_out, outcome->peak_pages, outcome->time_ns, outcome->out_of_memory);
  return true;
}

// Each limit; 0 for none.
int predict(trace::ReferenceSource& stream, const std::vector<std::string>& limits) {
  for (const std::string& limit : limits) {
    replay::LimitSettings settings = machine();
    const std::uint64_t bytes = std::strtoull(limit.c_str(), nullptr, 10);
    if (bytes != 0) settings.limit_pages = bytes >> 12;
    if (!predict(stream, settings)) return 2;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  if (words == std::vector<std::string>{"--list"}) {
    for (const Pattern& one : patterns()) fmt::print("{} {} {} {}\n", one.name, one.tuning ? "tuning" : "checking", one.pages, one.file_pages);
    return 0;
  }
  if (words.size() >= 3 && words[0] == "--stream") {
    const auto source = trace::ReferenceStreamFile::open(words[1]);
    if (source) return predict(**source, {words.begin() + 2, words.end()});
    fmt::print(stderr, "limits_predict: {}\n", source.error().message());
    return 2;
  }
  for (const Pattern& pattern : patterns()) {
    if (words.size() < 3 || pattern.name != words[0]) continue;
    StreamSink sink;
    Draw draw(std::strtoull(words[1].c_str(), nullptr, 10));
    pattern.run(sink, draw);
    trace::VectorSource stream(std::move(sink.events), true);
    stream.files_ = {{"file", pattern.file_pages}};
    return predict(stream, {words.begin() + 2, words.end()});
  }
  fmt::print(stderr, "usage: limits_predict PATTERN SEED LIMIT_BYTES..., --stream FILE LIMIT_BYTES..., or --list\n");
  return 2;
}
