#include "heap/settings.h"

#include "heap/chunk.h"
#include "heap/outcome_box.h"

namespace faultline::heap {
namespace {

constexpr std::uint64_t kMaxFastRequest = 160;
constexpr std::uint64_t kMaxTcacheRequest = 1032;
constexpr std::uint64_t kMaxTcacheCount = 65535;
constexpr std::uint64_t kDynamicThresholdCeiling = std::uint64_t{32} << 20;  // half a thread heap

// A limit in request bytes becomes the chunk size that holds it; below 8 bytes no chunk qualifies.
constexpr std::uint64_t max_fast_chunk(std::uint64_t request) {
  return request <= 7 ? kMinChunk / 2 : (request + 8) & ~(kChunkAlignment - 1);
}

}  // namespace

Settings::Settings(const Parameters& parameters) {
  const Tunables& t = parameters.tunables;
  if (t.top_pad) top_pad = *t.top_pad;
  caps_mmap_threshold = parameters.version.caps_mmap_threshold;
  const bool threshold_refused = caps_mmap_threshold && t.mmap_threshold && *t.mmap_threshold > kDynamicThresholdCeiling;
  const bool sets_threshold = t.mmap_threshold && !threshold_refused;
  if (sets_threshold) mmap_threshold = *t.mmap_threshold;
  if (t.trim_threshold) trim_threshold = *t.trim_threshold;
  if (t.mmap_max) mmap_max = *t.mmap_max;
  dynamic_threshold = !(t.top_pad || sets_threshold || t.trim_threshold || t.mmap_max);
  if (t.perturb) perturb = static_cast<std::int32_t>(*t.perturb);
  if (t.tcache_max && *t.tcache_max <= kMaxTcacheRequest) {
    tcache_bins = (chunk_size_for(*t.tcache_max) - kMinChunk) / kChunkAlignment + 1;
  }
  if (t.tcache_count && *t.tcache_count <= kMaxTcacheCount) tcache_count = *t.tcache_count;
  if (t.tcache_unsorted_limit) tcache_unsorted_limit = *t.tcache_unsorted_limit;
  if (t.mxfast && *t.mxfast <= kMaxFastRequest) max_fast = max_fast_chunk(*t.mxfast);
  if (t.arena_max) arena_max = *t.arena_max;
  if (t.arena_test) arena_test = *t.arena_test;
  strict_overcommit = parameters.strict_overcommit;
  if (!parameters.version.has_hugetlb) return;
  const std::uint64_t huge = t.hugetlb.value_or(0);
  if (huge == 1) huge_page = parameters.thp_madvise_bytes;
  break_known = parameters.break_known;
  if (huge < 2) return;
  for (const std::uint64_t size : parameters.huge_page_sizes)
    if (size != 0 && (huge == size || (huge == 2 && size == parameters.huge_page_sizes.front()))) explicit_huge_page = size;
  if (explicit_huge_page != 0 && parameters.version.hugetlb_sets_threshold) mmap_threshold = explicit_huge_page;
}

int Settings::mallopt(int parameter, int value) {
  const auto wide = static_cast<std::uint64_t>(static_cast<std::int64_t>(value));  // -1 means "no limit"
  switch (parameter) {
    case kMxfast:
      if (wide > kMaxFastRequest) return 0;
      max_fast = max_fast_chunk(wide);
      if (box != nullptr) box->program_set(parameter);
      return 1;
    case kTrimThreshold:
      trim_threshold = wide;
      break;
    case kTopPad:
      top_pad = wide;
      break;
    case kMmapThreshold:
      if (caps_mmap_threshold && wide > kDynamicThresholdCeiling) return 0;
      mmap_threshold = wide;
      break;
    case kMmapMax:
      mmap_max = value;
      break;
    case kPerturb:
      perturb = value;
      return 1;
    case kArenaTest:
      arena_test = wide;
      return 1;
    case kArenaMax:
      arena_max = wide;
      return 1;
    default:  // accepted and ignored
      return 1;
  }
  dynamic_threshold = false;
  if (box != nullptr) box->program_set(parameter);
  return 1;
}

void Settings::adapt(std::uint64_t header) {
  if (header > kDynamicThresholdCeiling) return;
  if (box != nullptr) box->mapped_freed(header);
  if (!dynamic_threshold || header <= mmap_threshold) return;
  if (box != nullptr) box->adapted();
  mmap_threshold = header & ~kFlagBits;
  trim_threshold = 2 * mmap_threshold;
}

}  // namespace faultline::heap
