#include "analyze/search_sizes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <set>

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kLarge = 128 * 1024;  // M_MMAP_THRESHOLD as a process starts
constexpr std::uint64_t kTcacheMost = 1032;   // largest request tcache takes

}  // namespace

SizeProfile size_profile(const replay::Program& program) {
  SizeProfile profile;
  std::vector<std::uint64_t> size_of_slot(program.slots, 0);
  std::array<std::uint32_t, kTcacheMost / 16 + 2> live_of_size{};
  std::set<std::uint64_t> large;
  std::uint64_t live = 0, live_large = 0;
  auto leave = [&](std::uint32_t slot) {
    if (slot == replay::kNoSlot) return;
    const std::uint64_t size = size_of_slot[slot];
    live -= size;
    if (size >= kLarge) live_large -= size;
    if (size > 0 && size <= kTcacheMost) --live_of_size[(size + 7) / 16];
    size_of_slot[slot] = 0;
  };
  profile.threads = std::max<std::size_t>(1, program.threads.size());
  profile.thp_by_madvise = program.thp_madvise_bytes != 0;
  if (!program.events.empty()) {
    const std::uint64_t first = program.events.front().time, last = program.events.back().time;
    profile.duration_ms = last <= first ? 0 : (last - first) * program.time_unit_ns / 1'000'000;
  }
  for (const replay::Event& event : program.events) {
    if (event.op == trace::HeapOp::free) {
      leave(event.slot);
      ++profile.frees;
      continue;
    }
    if (event.slot == replay::kNoSlot || event.flags & replay::kFailed) continue;
    if (event.op == trace::HeapOp::realloc) leave(event.other);
    const std::uint64_t size = program.size_of(event);
    size_of_slot[event.slot] = size;
    live += size;
    if (size >= kLarge) {
      live_large += size;
      large.insert(std::bit_ceil(size));
    }
    if (size > 0 && size <= kTcacheMost) {
      ++profile.small_allocations;
      profile.most_live_of_one_size = std::max(profile.most_live_of_one_size, ++live_of_size[(size + 7) / 16]);
    }
    profile.largest_block = std::max(profile.largest_block, size);
    profile.peak_live_bytes = std::max(profile.peak_live_bytes, live);
    profile.peak_large_bytes = std::max(profile.peak_large_bytes, live_large);
  }
  profile.large_sizes.assign(large.begin(), large.end());
  return profile;
}

}  // namespace faultline::analyze
