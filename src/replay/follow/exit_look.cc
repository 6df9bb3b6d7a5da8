#include "replay/follow/exit_look.h"

#include <algorithm>

#include "base/units.h"
#include "replay/smaps.h"
#include "replay/touch_model.h"

namespace faultline::replay {
namespace {

bool is_shared_memory(const std::string& name) {
  return name.starts_with("/dev/zero") || name.starts_with("/SYSV") || name.starts_with("/dev/shm/") || name.starts_with("/memfd:");
}
bool is_anonymous(const std::string& name) { return name.empty() || name == "[heap]" || name == "[stack]" || name.starts_with("[anon"); }

class ExitLook {
 public:
  ExitLook(const trace::ProcessInfo& process, std::span<const trace::TouchObservation> touches) : process_(process), residency_(touches, {}, false, 0) {}

  MemoryLook make(std::span<const Mapping> mappings) {
    look_.there = true;
    look_.time_ns = process_.exit_report_ns;
    look_.start_of_break = look_.program_break = process_.initial_brk;
    for (const Mapping& mapping : mappings) {
      if (mapping.name == "[vsyscall]") continue;
      add(mapping);
    }
    return std::move(look_);
  }

 private:
  const trace::ProcessInfo& process_;
  ExitResidency residency_;
  MemoryLook look_;

  void add(const Mapping& mapping) {
    const bool anonymous = is_anonymous(mapping.name);
    if (mapping.name == "[heap]") look_.program_break = mapping.end;
    look_.mapped_bytes += mapping.end - mapping.start;
    look_.mappings.push_back({.start = mapping.start, .end = mapping.end, .name = anonymous ? std::string() : mapping.name, .file = !anonymous,
                              .grows_down = mapping.name == "[stack]", .kernels = mapping.name.starts_with("[vvar")});
    const std::uint64_t rss = mapping.rss_bytes.value_or(0);
    if (anonymous) return add_anonymous(mapping, rss);
    std::uint64_t at = mapping.start;
    const auto take = [&](std::uint64_t bytes, PageUse use) {
      if (bytes > 0) look_.runs.push_back({at, at + bytes, use});
      at += bytes;
    };
    const std::uint64_t copied = std::min(rss, mapping.anonymous_bytes), dirty = std::min(rss - copied, mapping.dirty_bytes - std::min(mapping.dirty_bytes, copied));
    take(copied, PageUse::anonymous);
    if (is_shared_memory(mapping.name)) return take(rss - copied, PageUse::shmem);
    take(dirty, PageUse::file_dirty);
    take(rss - copied - dirty, PageUse::file_clean);
  }

  // mincore tells the zero page too: what is told beyond RSS is left out, from the end.
  void add_anonymous(const Mapping& mapping, std::uint64_t rss) {
    std::uint64_t left = rss;
    const bool huge = rss > 0 && mapping.huge_bytes == rss;
    const auto take = [&](std::uint64_t start, std::uint64_t end) {
      end = std::min(end, start + left);
      if (end <= start) return;
      look_.runs.push_back({start, end, PageUse::anonymous, huge});
      left -= end - start;
    };
    std::uint64_t told_until = mapping.start;
    for (const ExitResidency::Run& run : residency_.runs()) {
      const std::uint64_t start = std::max(run.start, mapping.start), end = std::min(run.end, mapping.end);
      if (start >= end) continue;
      told_until = end;
      if (run.resident) take(start, end);
    }
    if (told_until == mapping.start) return take(mapping.start, mapping.end);
    take(told_until, mapping.end);
    if (left > 0) fill(mapping, left);
  }

  // More is in RSS than was told: pages that came in between. The first free places.
  void fill(const Mapping& mapping, std::uint64_t left) {
    const auto from = std::find_if(look_.runs.begin(), look_.runs.end(), [&](const PageRun& run) { return run.start >= mapping.start; });
    std::vector<PageRun> runs(from, look_.runs.end());
    look_.runs.erase(from, look_.runs.end());
    std::uint64_t at = mapping.start;
    runs.push_back({mapping.end, mapping.end});
    for (const PageRun& run : runs) {
      const std::uint64_t room = std::min(left, run.start - at);
      if (room > 0) look_.runs.push_back({at, at + room});
      left -= room;
      if (run.end > run.start) look_.runs.push_back(run);
      at = run.end;
    }
  }
};

}  // namespace

std::optional<MemoryLook> look_at_exit(const trace::ProcessInfo& process, std::span<const trace::TouchObservation> touches) {
  if (!process.exit_seen || process.exit_report_ns == 0) return std::nullopt;
  const std::vector<Mapping> mappings = parse_smaps(process.exit_maps);
  if (std::none_of(mappings.begin(), mappings.end(), [](const Mapping& mapping) { return mapping.rss_bytes.has_value(); })) return std::nullopt;
  return ExitLook(process, touches).make(mappings);
}

}  // namespace faultline::replay
