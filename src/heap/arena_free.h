// Arena: giving a block back, and consolidation of the fastbins.
#pragma once

#include "heap/arena.h"

namespace faultline::heap {

// Joins a chunk with its free neighbours. Into the top if that is next, else to the head of a list.
template <MemoryProvider Memory>
std::uint64_t Arena<Memory>::merge(Address chunk, std::uint64_t size, Filing filing) {
  headers_.head(chunk + size);  // read first, whatever comes of it
  if (!headers_.prev_in_use(chunk)) {
    const std::uint64_t below = headers_.prev_size(chunk);
    chunk -= below;
    size += below;
    check_placed(chunk, size);
    FL_ASSERT(headers_.size(chunk) == below);
    bins_.unlink(chunk);
  }
  return merge_above(chunk, size, filing);
}

template <MemoryProvider Memory>
std::uint64_t Arena<Memory>::merge_above(Address chunk, std::uint64_t size, Filing filing) {
  const Address next = chunk + size;
  const std::uint64_t next_head = headers_.head(next), next_size = next_head & ~kFlagBits;
  if (next == top_) {
    size += next_size;
    headers_.set_head(chunk, size | kPrevInUse);
    top_ = chunk;
    return size;
  }
  if (!headers_.prev_in_use(next + next_size)) {
    bins_.unlink(next);
    size += next_size;
  } else {
    headers_.set_head(next, next_head & ~kPrevInUse);
  }
  if (filing == Filing::by_version && common_.version.files_small_chunks && is_small(size)) bins_.file(chunk, size);
  else bins_.push_unsorted(chunk, size);
  headers_.set_head(chunk, size | kPrevInUse);
  headers_.set_foot(chunk, size);
  return size;
}

template <MemoryProvider Memory>
void Arena<Memory>::free_merging(Address chunk, std::uint64_t size) {
  FL_ASSERT(chunk != top_ && headers_.prev_in_use(chunk + size));  // else it is free already
  if (settings_.perturb != 0) fill(memory_, user_of(chunk), size - kChunkHeader, settings_.perturb);
  trim_after_free(merge(chunk, size, Filing::by_version));
}

template <MemoryProvider Memory>
void Arena<Memory>::trim_after_free(std::uint64_t size) {
  if (size < kConsolidationThreshold) return;
  if (fastbins_.maybe_nonempty) consolidate();
  if (!is_main()) return trim_heaps(settings_.top_pad);
  note([&](OutcomeBox& box) {
    box.top_padded(settings_);
    if (trimmable(top_size(), settings_.top_pad, granularity()) != 0) box.trimmable_top(top_size(), settings_);
  });
  if (top_size() >= settings_.trim_threshold) trim_top(settings_.top_pad);
}

template <MemoryProvider Memory>
void Arena<Memory>::free(Tcache* tcache, Address chunk) {
  if (!put_in_cache(tcache, chunk)) give_back(chunk);
}

template <MemoryProvider Memory>
bool Arena<Memory>::put_in_cache(Tcache* tcache, Address chunk) const {
  const std::uint64_t size = headers_.size(chunk);
  check_placed(chunk, size);
  return tcache != nullptr && tcache->take_back(memory_, settings_, user_of(chunk), size);
}

template <MemoryProvider Memory>
void Arena<Memory>::give_back(Address chunk) {
  const std::uint64_t size = headers_.size(chunk);
  note([&](OutcomeBox& box) { box.chunk_given_back(size, settings_); });
  if (size > settings_.max_fast) return free_merging(chunk, size);
  FL_ASSERT(headers_.head(chunk + size) > kChunkHeader);
  if (settings_.perturb != 0) fill(memory_, user_of(chunk), size - kChunkHeader, settings_.perturb);
  const unsigned bin = Fastbins<Memory>::index(size);
  FL_ASSERT(fastbins_.head(bin) != chunk);
  fastbins_.push(chunk, bin);
}

template <MemoryProvider Memory>
void Arena<Memory>::consolidate() {
  fastbins_.maybe_nonempty = false;
  for (unsigned bin = 0; bin < Fastbins<Memory>::kCount; ++bin) {
    fastbins_.take_all(bin, [&](Address chunk) {
      const std::uint64_t size = headers_.size(chunk);
      check_placed(chunk, size);
      merge(chunk, size, Filing::unsorted);
    });
  }
}

}  // namespace faultline::heap
