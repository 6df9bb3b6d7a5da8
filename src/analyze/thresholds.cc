#include "analyze/thresholds.h"

#include "analyze/block_map.h"
#include "base/units.h"

namespace faultline::analyze {
namespace {

constexpr std::uint64_t kDynamicCeiling = std::uint64_t{32} << 20;  // glibc DEFAULT_MMAP_THRESHOLD_MAX on 64 bit

}  // namespace

Thresholds::Thresholds(const trace::ProcessInfo& process) {
  const heap::Tunables tunables = heap::Tunables::from_environment(process.tunables, process.environment);
  state_.mmap_threshold_set = tunables.mmap_threshold.has_value();
  state_.trim_threshold_set = tunables.trim_threshold.has_value();
  state_.top_pad_set = tunables.top_pad.has_value();
  state_.mmap_max_set = tunables.mmap_max.has_value();
  state_.mmap_threshold = tunables.mmap_threshold.value_or(state_.mmap_threshold);
  state_.trim_threshold = tunables.trim_threshold.value_or(state_.trim_threshold);
  state_.top_pad = tunables.top_pad.value_or(state_.top_pad);
  state_.frozen = state_.mmap_threshold_set || state_.trim_threshold_set || state_.top_pad_set || state_.mmap_max_set;
}

void Thresholds::mallopt(std::int64_t parameter, std::int64_t value) {
  const auto bytes = static_cast<std::uint64_t>(value);  // -1 is "never", as in glibc
  switch (parameter) {  // malloc.h M_TRIM_THRESHOLD and its neighbours
    case -1: state_.trim_threshold = bytes; state_.trim_threshold_set = true; break;
    case -2: state_.top_pad = bytes; state_.top_pad_set = true; break;
    case -3: state_.mmap_threshold = bytes; state_.mmap_threshold_set = true; break;
    case -4: state_.mmap_max_set = true; break;
    default: return;
  }
  state_.frozen = true;
}

void Thresholds::freed_mmapped(std::uint64_t requested_bytes) {
  const std::uint64_t chunk = page_ceil(chunk_bytes(requested_bytes) + 8);
  // The mmapped flag (2) is part of what glibc compares: an equal size adapts too.
  if (state_.frozen || (chunk | 2) <= state_.mmap_threshold || (chunk | 2) > kDynamicCeiling) return;
  state_.mmap_threshold = chunk;
  state_.trim_threshold = 2 * chunk;
  ++state_.adaptations;
}

}  // namespace faultline::analyze
