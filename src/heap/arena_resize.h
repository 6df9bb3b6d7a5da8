// Arena: realloc of a heap chunk, and aligned blocks.
#pragma once

#include "heap/arena.h"

namespace faultline::heap {

template <MemoryProvider Memory>
Address Arena<Memory>::resize(Tcache* tcache, Address chunk, std::uint64_t old_size, std::uint64_t nb) {
  check_placed(chunk, old_size);
  const Address next = chunk + old_size;
  const std::uint64_t next_size = headers_.size(next);
  std::uint64_t size = old_size;
  if (old_size < nb) {
    if (next == top_ && old_size + next_size >= nb + kMinChunk) {
      headers_.set_size(chunk, nb);
      top_ = chunk + nb;
      headers_.set_head(top_, (old_size + next_size - nb) | kPrevInUse);
      return user_of(chunk);
    }
    if (next != top_ && !headers_.prev_in_use(next + next_size) && old_size + next_size >= nb) {
      bins_.unlink(next);
      size = old_size + next_size;
    } else {
      const Address moved = allocate(tcache, nb - (kChunkAlignment - 1));
      if (moved == 0) return 0;
      if (chunk_of_user(moved) != next) {
        memory_.copy(moved, user_of(chunk), old_size - 8);
        free(tcache, chunk);
        return moved;
      }
      size = old_size + headers_.size(next);  // the new block is the next one: no copy
    }
  }
  if (size - nb < kMinChunk) {
    headers_.set_size(chunk, size);
    headers_.set_in_use(chunk, size);
    return user_of(chunk);
  }
  const Address rest = chunk + nb;
  headers_.set_size(chunk, nb);
  headers_.set_head(rest, (size - nb) | kPrevInUse | flag_);
  headers_.set_in_use(rest, size - nb);
  free(tcache, rest);
  return user_of(chunk);
}

// A block with room to spare; the unaligned front and the unneeded tail are freed. alignment is a power of two >= 32.
template <MemoryProvider Memory>
Address Arena<Memory>::allocate_aligned(Tcache* tcache, std::uint64_t alignment, std::uint64_t request) {
  const std::uint64_t nb = chunk_size_for(request);
  if (nb == 0 || alignment > kMaxRequest - nb) return 0;
  const Address user = allocate(tcache, nb + alignment + kMinChunk);
  return user == 0 ? 0 : align(tcache, user, alignment, nb);
}

template <MemoryProvider Memory>
Address Arena<Memory>::align(Tcache* tcache, Address user, std::uint64_t alignment, std::uint64_t nb) {
  Address chunk = chunk_of_user(user);
  const bool mmapped = (headers_.head(chunk) & kMmapped) != 0;
  const bool merges = common_.version.memalign_merges_parts;
  if (user % alignment != 0) {
    Address aligned = chunk_of_user(align_up(user, alignment));
    if (aligned - chunk < kMinChunk) aligned += alignment;
    const std::uint64_t lead = aligned - chunk;
    const std::uint64_t size = headers_.size(chunk) - lead;
    if (mmapped) return user_of(common_.mapped.shift(chunk, lead));
    headers_.set_head(aligned, size | kPrevInUse | flag_);
    headers_.set_in_use(aligned, size);
    headers_.set_size(chunk, lead);
    if (merges) free_merging(chunk, lead);
    else free(tcache, chunk);
    chunk = aligned;
  }
  if (mmapped) return user_of(chunk);
  const std::uint64_t size = headers_.size(chunk);
  if (merges) {
    free_tail(chunk, size, nb);
  } else if (size > nb + kMinChunk) {
    const Address rest = chunk + nb;
    headers_.set_head(rest, (size - nb) | kPrevInUse | flag_);
    headers_.set_size(chunk, nb);
    free(tcache, rest);
  }
  return user_of(chunk);
}

// The tail joins what is free above it. One too small to be a chunk can only do that.
template <MemoryProvider Memory>
void Arena<Memory>::free_tail(Address chunk, std::uint64_t size, std::uint64_t nb) {
  if (size <= nb) return;
  const Address next = chunk + size;
  const std::uint64_t rest = size - nb, next_size = headers_.size(next);
  if (rest < kMinChunk && next != top_ && headers_.prev_in_use(next + next_size)) return;
  headers_.set_size(chunk, nb);
  trim_after_free(merge_above(chunk + nb, rest, Filing::by_version));
}

}  // namespace faultline::heap
